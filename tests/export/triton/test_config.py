from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as schema

from cascade.cascade_file import TensorSpec
from export.errors import RepositoryError
from export.signature import plain_signature
from export.triton.config import check_same_signature, config_text
from export.triton.settings import TritonSettings

SIGNATURE = plain_signature((TensorSpec(name="image", datatype="UINT8", shape=(-1, 8, 6, 3)),), 5)


def text_of(backend: str = "onnxruntime", **settings: object) -> str:
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
