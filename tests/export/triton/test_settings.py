from typing import Any

import pytest

from export.errors import SettingsError
from export.triton.settings import TritonSettings


def test_a_quarter_and_the_whole_are_preferred_unless_sizes_are_given() -> None:
    assert TritonSettings().sizes == (16, 64)
    assert TritonSettings(max_batch_size=3).sizes == (1, 3)
    assert TritonSettings(max_batch_size=1).sizes == (1,)
    assert TritonSettings(preferred_batch_sizes=(5, 9)).sizes == (5, 9)


def test_all_versions_stay_loaded_unless_a_number_is_given() -> None:
    assert TritonSettings().num_latest is None
    assert TritonSettings(version_policy="latest:12").num_latest == 12


REFUSALS: dict[str, dict[str, Any]] = {
    r"^max_batch_size must be 1 or more, got 0$": {"max_batch_size": 0},
    r"^instances must be 0 or more, got -1$": {"instances": -1},
    r"^queue_delay_us must be 0 or more, got -1$": {"queue_delay_us": -1},
    r"^max_queue_size must be 0 or more, got -1$": {"max_queue_size": -1},
    r"^queue_timeout_us must be 0 or more, got -5$": {"queue_timeout_us": -5},
    r"^intra_op_threads must be 0 or more, got -1$": {"intra_op_threads": -1},
    r"^triton_backend 'pytorch' is none of onnxruntime, python$": {"triton_backend": "pytorch"},
    r"^instance_kind 'tpu' is none of cpu, gpu, auto$": {"instance_kind": "tpu"},
    r"^accelerator 'magic' is none of none, tensorrt$": {"accelerator": "magic"},
    r"within 1\.\.8 \(max_batch_size\), got 4, 9$": {"max_batch_size": 8, "preferred_batch_sizes": (4, 9)},
    r"within 1\.\.64 \(max_batch_size\), got 0$": {"preferred_batch_sizes": (0,)},
    r"^version_policy 'newest' is neither 'all' nor 'latest:N'$": {"version_policy": "newest"},
    r"^version_policy '3' is neither": {"version_policy": "3"},
    r"^version_policy 'latest:' is neither": {"version_policy": "latest:"},
    r"^version_policy 'latest:0' is neither": {"version_policy": "latest:0"},
    r"^version_policy 'latest:-1' is neither": {"version_policy": "latest:-1"},
    r"^accelerator tensorrt needs triton_backend onnxruntime and instance_kind gpu$": {
        "accelerator": "tensorrt"
    },
    r"^accelerator tensorrt needs triton_backend onnxruntime": {
        "accelerator": "tensorrt",
        "instance_kind": "gpu",
        "triton_backend": "python",
    },
}


@pytest.mark.parametrize("message", REFUSALS)
def test_settings_name_what_is_wrong(message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TritonSettings(**REFUSALS[message])


def test_the_least_of_everything_is_allowed() -> None:
    least = TritonSettings(
        max_batch_size=1,
        preferred_batch_sizes=(1,),
        queue_delay_us=0,
        max_queue_size=0,
        queue_timeout_us=0,
        version_policy="latest:1",
    )
    assert (least.sizes, least.num_latest) == ((1,), 1)
