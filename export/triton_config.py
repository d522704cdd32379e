"""`config.pbtxt`: how Triton is to load a member, in Triton's own schema."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as schema

from cascade.cascade_file import TensorSpec
from export.errors import RepositoryError

OUTPUT = "logits"
QUEUE_DELAY_US = 100
"""The router has batched already: Triton may wait for as long as calls of several routers lie apart."""


@dataclass(frozen=True, kw_only=True)
class MemberSignature:
    """What a member takes and gives. Triton has one such description for all versions of a model."""

    input: TensorSpec
    num_classes: int


def config_text(name: str, signature: MemberSignature, max_batch_size: int) -> str:
    """A model configuration as protobuf text."""
    config = schema.ModelConfig(
        name=name, backend="onnxruntime", platform="onnxruntime_onnx", max_batch_size=max_batch_size
    )
    _describe(config, signature)
    # Older cascade files pin older versions, so all of them stay loaded.
    config.version_policy.all.SetInParent()
    config.dynamic_batching.preferred_batch_size.extend(_preferred_sizes(max_batch_size))
    config.dynamic_batching.max_queue_delay_microseconds = QUEUE_DELAY_US
    # Where the member was checked and calibrated. One instance: its session spreads an operator over all
    # cores by itself, and two such sessions fight over them.
    config.instance_group.add(kind=schema.ModelInstanceGroup.KIND_CPU, count=1)
    return str(text_format.MessageToString(config))


def check_same_signature(path: Path, signature: MemberSignature) -> None:
    """Refuse a published configuration that a member of this signature cannot share."""
    published = _read(path)
    wanted = schema.ModelConfig(backend="onnxruntime", platform="onnxruntime_onnx")
    _describe(wanted, signature)
    for part in ("backend", "platform", "input", "output"):
        if getattr(published, part) != getattr(wanted, part):
            raise RepositoryError(
                f"{path}: {part} differs from this run's, and all versions of a model share one; "
                "export under another name"
            )


def _describe(config: Any, signature: MemberSignature) -> None:
    """Dimensions without the batch, which Triton adds by itself."""
    config.input.add(
        name=signature.input.name,
        data_type=schema.DataType.Value(f"TYPE_{signature.input.datatype}"),
        dims=signature.input.shape[1:],
    )
    config.output.add(name=OUTPUT, data_type=schema.TYPE_FP32, dims=[signature.num_classes])


def _preferred_sizes(max_batch_size: int) -> list[int]:
    """A full batch is best; a quarter is worth going with when the rest is late."""
    return sorted({max(1, max_batch_size // 4), max_batch_size})


def _read(path: Path) -> Any:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), schema.ModelConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise RepositoryError(f"{path}: not a model configuration ({error})") from None
