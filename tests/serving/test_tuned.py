"""Which settings members are run with, by flag, by file, by default."""

from dataclasses import replace
from pathlib import Path

import pytest

from cascade.cascade_file import Cascade
from cascade.runtime import Runtime
from serving.config import RuntimeChoice, SchedulerConfig, ServerConfig
from serving.errors import StartupError
from serving.tuned import settle
from tests.serving.scheduling.test_scheduler import TWO

TUNED = Runtime(num_workers=3, num_threads=5, is_spinning=True, max_batch_rows=7)


def settled(choice: RuntimeChoice, *runtimes: Runtime | None) -> tuple[int, int, bool, int]:
    config = ServerConfig(
        repository=Path(),
        runtime=choice,
        scheduler=SchedulerConfig(num_workers=2, max_batch_rows=32, max_queue_s=0.5),
    )
    cascades: list[Cascade] = [replace(TWO.cascade, runtime=runtime) for runtime in runtimes]
    scheduler, session = settle(config, cascades)
    assert scheduler.max_queue_s == 0.5
    return scheduler.num_workers, session.num_threads, session.is_spinning, scheduler.max_batch_rows


@pytest.mark.parametrize(
    ("choice", "runtimes", "expected"),
    [
        (RuntimeChoice(), [None], (2, 1, False, 32)),
        (RuntimeChoice(), [TUNED], (3, 5, True, 7)),
        (RuntimeChoice(), [TUNED, None, TUNED], (3, 5, True, 7)),
        (RuntimeChoice(), [TUNED, replace(TUNED, num_threads=1)], (2, 1, False, 32)),
        (RuntimeChoice(num_workers=1, is_spinning=False), [TUNED], (1, 5, False, 7)),
        (RuntimeChoice(num_threads=4, max_batch_rows=9), [None], (2, 4, False, 9)),
    ],
)
def test_flags_go_before_files_and_files_before_defaults(
    choice: RuntimeChoice, runtimes: list[Runtime | None], expected: tuple[int, int, bool, int]
) -> None:
    assert settled(choice, *runtimes) == expected


def test_what_is_asked_for_is_checked() -> None:
    with pytest.raises(StartupError, match="num_threads is 0; it must be positive"):
        RuntimeChoice(num_threads=0)
