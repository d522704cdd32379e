"""What is looked at before a tensor is decoded."""

import pytest

from serving.request_checks import IN_A_THREAD
from serving.shared_memory import SharedMemory
from tests.serving.intakes import NO_MEMORY, intake, spec

MEMORY = SharedMemory(is_allowed=True, max_read_bytes=1)


@pytest.mark.parametrize(
    ("num_slow", "num_bytes", "memory", "datatype", "expected"),
    [
        (IN_A_THREAD, IN_A_THREAD, NO_MEMORY, "UINT8", True),
        (100, IN_A_THREAD, NO_MEMORY, "UINT8", False),
        (100, IN_A_THREAD, NO_MEMORY, "BYTES", True),
        (100, IN_A_THREAD - 1, NO_MEMORY, "BYTES", False),
        (100, 100, MEMORY, "UINT8", False),
        (100, 100, MEMORY, "BYTES", True),
    ],
    ids=["JSON", "numbers", "strings", "few strings", "shared numbers", "shared strings"],
)
def test_the_event_loop_waits_for_no_long_decoding(
    num_slow: int, num_bytes: int, memory: SharedMemory, datatype: str, expected: bool
) -> None:
    takes = intake(spec("first", "FP32", -1, 2), spec("x", datatype, -1), memory=memory, num_slow=num_slow)
    assert takes.takes_long(num_bytes) is expected
