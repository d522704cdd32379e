from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as schema

from cascade.cascade_file import TensorSpec
from export.errors import RepositoryError
from export.rows import Rows
from export.signature import MemberSignature, plain_signature
from export.triton.config import check_same_signature, config_text
from export.triton.settings import TritonSettings
from export.triton.warm_up import warm_up_of

SIGNATURE = plain_signature((TensorSpec(name="image", datatype="UINT8", shape=(-1, 8, 6, 3)),), 5)


def text_of(backend: str = "onnxruntime", **settings: Any) -> str:
    return config_text("digits-0", SIGNATURE, TritonSettings(**settings), backend=backend)


def parse(text: str) -> schema.ModelConfig:
    return text_format.Parse(text, schema.ModelConfig())


def test_triton_reads_what_a_member_is() -> None:
    config = parse(text_of())
    assert (config.name, config.backend, config.platform) == ("digits-0", "onnxruntime", "onnxruntime_onnx")
    assert config.max_batch_size == 64
    assert [(part.name, part.data_type, list(part.dims)) for part in config.input] == [
        ("image", schema.TYPE_UINT8, [8, 6, 3])
    ]
    assert [(part.name, part.data_type, list(part.dims)) for part in config.output] == [
        ("logits", schema.TYPE_FP32, [5])
    ]
    assert config.version_policy.WhichOneof("policy_choice") == "all"
    assert [(group.kind, group.count) for group in config.instance_group] == [
        (schema.ModelInstanceGroup.KIND_CPU, 1)
    ]
    assert config.dynamic_batching.max_queue_delay_microseconds == 100


def test_what_is_said_of_the_queue_reaches_triton() -> None:
    batching = parse(text_of(queue_delay_us=7, queue_timeout_us=9000, max_queue_size=33)).dynamic_batching
    assert batching.max_queue_delay_microseconds == 7
    queue = batching.default_queue_policy
    assert (queue.timeout_action, queue.default_timeout_microseconds) == (
        schema.ModelQueuePolicy.REJECT,
        9000,
    )
    assert (queue.allow_timeout_override, queue.max_queue_size) == (True, 33)


def test_what_is_said_of_batches_and_instances_reaches_triton() -> None:
    config = parse(
        text_of(max_batch_size=24, preferred_batch_sizes=(6, 24), instances=3, instance_kind="gpu")
    )
    assert config.max_batch_size == 24
    assert list(config.dynamic_batching.preferred_batch_size) == [6, 24]
    assert [(group.kind, group.count) for group in config.instance_group] == [
        (schema.ModelInstanceGroup.KIND_GPU, 3)
    ]
    assert parse(text_of(instance_kind="auto")).instance_group[0].kind == schema.ModelInstanceGroup.KIND_AUTO


def test_a_plan_runs_on_a_gpu_whatever_others_do() -> None:
    (group,) = parse(text_of("tensorrt", instances=2)).instance_group
    assert (group.kind, group.count) == (schema.ModelInstanceGroup.KIND_GPU, 2)


@pytest.mark.parametrize(
    ("backend", "parameters"),
    [
        ("onnxruntime", {"intra_op_thread_count": "4"}),
        ("python", {"intra_op_num_threads": "4"}),
        ("tensorrt", {}),
    ],
)
def test_each_backend_has_its_word_for_threads(backend: str, parameters: dict[str, str]) -> None:
    config = parse(text_of(backend, intra_op_threads=4))
    assert {name: value.string_value for name, value in config.parameters.items()} == parameters
    assert not parse(text_of(backend)).parameters


def test_the_newest_versions_alone_may_be_loaded() -> None:
    policy = parse(text_of(version_policy="latest:3")).version_policy
    assert (policy.WhichOneof("policy_choice"), policy.latest.num_versions) == ("latest", 3)


@pytest.mark.parametrize(("precision", "mode"), [("fp32", "FP32"), ("fp16", "FP16"), ("int8", "INT8")])
def test_the_accelerator_gets_the_members_precision(precision: str, mode: str) -> None:
    settings = TritonSettings(accelerator="tensorrt", instance_kind="gpu")
    text = config_text("m", SIGNATURE, settings, backend="onnxruntime", precision=precision)
    (accelerator,) = parse(text).optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert dict(accelerator.parameters) == {
        "precision_mode": mode,
        "max_workspace_size_bytes": "1073741824",
    }
    assert not parse(text_of()).HasField("optimization")


@pytest.mark.parametrize(
    ("backend", "platform"),
    [("onnxruntime", "onnxruntime_onnx"), ("tensorrt", "tensorrt_plan"), ("python", "")],
)
def test_a_backend_has_its_platform(backend: str, platform: str) -> None:
    config = parse(text_of(backend))
    assert (config.backend, config.platform) == (backend, platform)


def test_inputs_have_the_members_own_names_and_a_row_of_one_value_a_dimension() -> None:
    signature = MemberSignature(
        inputs=(
            TensorSpec(name="ids", datatype="INT64", shape=(-1, -1)),
            TensorSpec(name="text", datatype="BYTES", shape=(-1, 2)),
            TensorSpec(name="age", datatype="FP16", shape=(-1,)),
        ),
        names={"a": "ids", "b": "text", "c": "age"},
        num_classes=3,
        output="probabilities",
        output_datatype="FP64",
    )
    config = parse(config_text("m", signature, TritonSettings(), backend="onnxruntime"))
    described = [
        (part.name, part.data_type, list(part.dims), part.HasField("reshape")) for part in config.input
    ]
    assert described == [
        ("ids", schema.TYPE_INT64, [-1], False),
        ("text", schema.TYPE_STRING, [2], False),
        ("age", schema.TYPE_FP16, [1], True),
    ]
    assert list(config.input[2].reshape.shape) == []
    (output,) = config.output
    assert (output.name, output.data_type, list(output.dims)) == ("probabilities", schema.TYPE_FP64, [3])


def test_a_row_to_warm_up_with_is_in_the_configuration_where_there_is_one() -> None:
    rows = Rows(inputs={"image": np.zeros((1, 8, 6, 3), np.uint8)}, labels=np.zeros(1, np.int64))
    text = config_text(
        "m", SIGNATURE, TritonSettings(), backend="onnxruntime", warm_up=warm_up_of(rows, SIGNATURE)
    )
    (warm_up,) = parse(text).model_warmup
    assert list(warm_up.inputs["image"].dims) == [8, 6, 3]
    assert not parse(text_of()).model_warmup


@pytest.mark.parametrize(("largest", "sizes"), [(1, [1]), (3, [1, 3]), (64, [16, 64])])
def test_preferred_sizes_never_exceed_the_largest(largest: int, sizes: list[int]) -> None:
    config = parse(text_of(max_batch_size=largest))
    assert list(config.dynamic_batching.preferred_batch_size) == sizes


def test_another_batch_size_is_no_other_signature(tmp_path: Path) -> None:
    path = tmp_path / "config.pbtxt"
    path.write_text(text_of(max_batch_size=8))
    check_same_signature(path, SIGNATURE, "onnxruntime")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dims: 6", "dims: 7", "input differs"),
        ("TYPE_UINT8", "TYPE_FP32", "input differs"),
        ("dims: 5", "dims: 4", "output differs"),
        ('backend: "onnxruntime"', 'backend: "python"', "backend differs"),
        ("max_batch_size", "max_batch_sighs", "not a model configuration"),
    ],
)
def test_a_published_configuration_must_fit(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "config.pbtxt"
    path.write_text(text_of(max_batch_size=8).replace(old, new))
    with pytest.raises(RepositoryError, match=message):
        check_same_signature(path, SIGNATURE, "onnxruntime")
