"""The cascade as a Triton ensemble, which cannot leave a step out: both members see every row."""

from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as schema

from benchmarks.triton_repository import MAX_MEMBER_BATCH, Tuning, model_config, write_members, write_model
from cascade.cascade_file import Cascade

ENSEMBLE = "always_both"
GATE = "gate"
GATE_SCRIPT = Path(__file__).parent / "gate_model.py"
OUTPUTS = {"label": ("INT64", (1,)), "exit_stage": ("INT32", (1,))}


@dataclass(frozen=True, kw_only=True)
class EnsembleSetting:
    member_instances: int = 2
    member_threads: int = 1
    member_delay_us: int = 0
    gate_instances: int = 1


def write_ensemble(
    path: Path, source: Path, cascade: Cascade, threshold: float, setting: EnsembleSetting
) -> None:
    """`source` is the repository of the members' files."""
    members = Tuning(
        member_instances=setting.member_instances,
        member_threads=setting.member_threads,
        member_delay_us=setting.member_delay_us,
    )
    write_members(path, source, cascade, members)
    _write_gate(path, cascade, threshold, setting)
    _write_ensemble(path, cascade)


def _write_gate(path: Path, cascade: Cascade, threshold: float, setting: EnsembleSetting) -> None:
    logits = ("FP32", (len(cascade.classes),))
    config = model_config(
        GATE,
        {"first": logits, "second": logits},
        OUTPUTS,
        {"threshold": repr(threshold)},
        max_batch=MAX_MEMBER_BATCH,
        delay_us=0,
        instances=setting.gate_instances,
    )
    write_model(path, config, GATE_SCRIPT)


def _write_ensemble(path: Path, cascade: Cascade) -> None:
    """Its steps batch for themselves."""
    (image,) = cascade.inputs
    config = schema.ModelConfig(name=ENSEMBLE, platform="ensemble", max_batch_size=MAX_MEMBER_BATCH)
    config.input.add(
        name="image", data_type=schema.DataType.Value(f"TYPE_{image.datatype}"), dims=image.shape[1:]
    )
    for name, (datatype, dims) in OUTPUTS.items():
        config.output.add(name=name, data_type=schema.DataType.Value(f"TYPE_{datatype}"), dims=dims)
    for member, tensor in zip(cascade.members, ("first", "second"), strict=True):
        step = config.ensemble_scheduling.step.add(model_name=member.name, model_version=-1)
        step.input_map["image"] = "image"
        step.output_map["logits"] = tensor
    gate = config.ensemble_scheduling.step.add(model_name=GATE, model_version=-1)
    for tensor in ("first", "second"):
        gate.input_map[tensor] = tensor
    for name in OUTPUTS:
        gate.output_map[name] = name
    (path / ENSEMBLE / "1").mkdir(parents=True)
    (path / ENSEMBLE / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")
