"""A cascade of two members as a Triton repository: the members, and a BLS model that calls them."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as schema

from cascade.cascade_file import Cascade

ROOT = Path(__file__).resolve().parent.parent
MEMBER_SCRIPT = ROOT / "export" / "python_backend" / "model.py"
BLS_SCRIPT = Path(__file__).parent / "triton_bls_model.py"
MAX_MEMBER_BATCH = 64
BLS = "cascade"


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What there is to tune; `variant` as in `triton_bls_model`. A delay is how long a batcher waits for
    more."""

    variant: str = "sync"
    bls_instances: int = 2
    bls_max_batch: int = 32
    bls_delay_us: int = 0
    member_instances: int = 2
    member_threads: int = 1
    member_delay_us: int = 0


def write_triton_repository(
    path: Path, source: Path, cascade: Cascade, threshold: float, tuning: Tuning
) -> None:
    """`source` is the repository of the members' files."""
    (image,) = cascade.inputs
    inputs = {"image": (image.datatype, image.shape[1:])}
    num_classes = len(cascade.classes)
    write_members(path, source, cascade, tuning)
    outputs = {
        "probabilities": ("FP32", (num_classes,)),
        "label": ("INT64", (1,)),
        "score": ("FP32", (1,)),
        "exit_stage": ("INT32", (1,)),
    }
    parameters = {
        "members": ",".join(member.name for member in cascade.members),
        "threshold": repr(threshold),
        "variant": tuning.variant,
    }
    config = model_config(
        BLS,
        inputs,
        outputs,
        parameters,
        max_batch=tuning.bls_max_batch,
        delay_us=tuning.bls_delay_us,
        instances=tuning.bls_instances,
    )
    write_model(path, config, BLS_SCRIPT)


def write_members(path: Path, source: Path, cascade: Cascade, tuning: Tuning) -> None:
    (image,) = cascade.inputs
    for member in cascade.members:
        config = model_config(
            member.name,
            {"image": (image.datatype, image.shape[1:])},
            {"logits": ("FP32", (len(cascade.classes),))},
            {"intra_op_num_threads": str(tuning.member_threads)},
            max_batch=MAX_MEMBER_BATCH,
            delay_us=tuning.member_delay_us,
            instances=tuning.member_instances,
        )
        version = write_model(path, config, MEMBER_SCRIPT)
        shutil.copyfile(source / member.file, version / "model.onnx")


def write_member(
    path: Path,
    member: str,
    image: tuple[int, ...],
    parameters: Mapping[str, str],
    script: str,
    instances: int,
) -> None:
    """The configuration and the script of a member whose file is there, of one image and ten classes."""
    config = model_config(
        member,
        {"image": ("UINT8", image)},
        {"logits": ("FP32", (10,))},
        parameters,
        max_batch=MAX_MEMBER_BATCH,
        delay_us=0,
        instances=instances,
    )
    text = str(text_format.MessageToString(config))
    (path / member / "config.pbtxt").write_text(text, encoding="utf-8")
    (path / member / "1" / "model.py").write_text(script, encoding="utf-8")


def write_model(repository: Path, config: Any, script: Path) -> Path:
    version: Path = repository / config.name / "1"
    version.mkdir(parents=True)
    shutil.copyfile(script, version / "model.py")
    text = str(text_format.MessageToString(config))
    (repository / config.name / "config.pbtxt").write_text(text, encoding="utf-8")
    return version


def model_config(
    name: str,
    inputs: Mapping[str, tuple[str, tuple[int, ...]]],
    outputs: Mapping[str, tuple[str, tuple[int, ...]]],
    parameters: Mapping[str, str],
    *,
    max_batch: int,
    delay_us: int,
    instances: int,
) -> Any:
    """Dynamic batching without preferred sizes: an idle instance takes what is there."""
    config = schema.ModelConfig(name=name, backend="python", max_batch_size=max_batch)
    for tensors, described in ((inputs, config.input), (outputs, config.output)):
        for tensor, (datatype, dims) in tensors.items():
            described.add(name=tensor, data_type=schema.DataType.Value(f"TYPE_{datatype}"), dims=dims)
    config.dynamic_batching.max_queue_delay_microseconds = delay_us
    config.instance_group.add(kind=schema.ModelInstanceGroup.KIND_CPU, count=instances)
    for key, value in parameters.items():
        config.parameters[key].string_value = value
    return config
