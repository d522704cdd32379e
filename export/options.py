"""Options that commands share, and the settings they make."""

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import NoReturn, TypeVar

from cascade.cascade_file import MODEL_FILES, PRECISIONS
from cascade.scores import SCORES
from export.bounds import BOUNDS
from export.errors import SettingsError
from export.policies import KINDS
from export.settings import ExportSettings
from export.triton.settings import ACCELERATORS, BACKENDS, INSTANCE_KINDS, TritonSettings

Number = TypeVar("Number", int, float)
Group = argparse._ArgumentGroup


class Parser(argparse.ArgumentParser):
    """Raises instead of printing its usage and leaving."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(message)


def settings_of(options: argparse.Namespace) -> ExportSettings:
    triton = TritonSettings(**{field.name: getattr(options, field.name) for field in fields(TritonSettings)})
    names = [field.name for field in fields(ExportSettings) if field.name != "triton"]
    return ExportSettings(triton=triton, **{name: getattr(options, name) for name in names})


def add_cascade_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", type=Path, required=True, metavar="FOLDER", help="made when missing")
    parser.add_argument("--name", required=True, help="of the cascade; members are NAME-0, NAME-1, ...")
    parser.add_argument(
        "--stages",
        metavar="S",
        help="members of each stage, as in '0;1,2', or with precisions '0:int8;0;1' (default: '0;1;2')",
    )
    _add_policy_options(parser.add_argument_group("policies"))
    _add_model_options(parser.add_argument_group("models"))
    _add_triton_options(parser.add_argument_group("how Triton runs a member (config.pbtxt)"))


def _add_policy_options(group: Group) -> None:
    defaults = ExportSettings
    _add(group, "--objective", defaults.objective, "coverage@risk=R, risk@coverage=C or accuracy")
    _add(
        group,
        "--budget",
        defaults.budget,
        "1.2x (of stage 1), 0.6full or 3e6macs a row; with --tune also 2.5ms",
    )
    _add(group, "--score", defaults.score, " | ".join(SCORES), metavar="NAME")
    _add(group, "--default-policy", defaults.default_policy, " | ".join(KINDS), metavar="NAME")
    _add(group, "--seed", defaults.seed, "divides the calibration rows", type=int)


def _add_model_options(group: Group) -> None:
    _add(
        group,
        "--precision",
        ExportSettings.precision,
        "of members; fp16 is for GPUs, int8 is calibrated on the rows",
        choices=PRECISIONS,
    )
    _add(
        group,
        "--format",
        ExportSettings.format,
        "tensorrt needs its package or trtexec, and the GPU it is to run on",
        choices=tuple(MODEL_FILES),
    )
    usual = ", ".join(f"{bounds.max_difference:g} at {name}" for name, bounds in BOUNDS.items())
    group.add_argument(
        "--max-difference",
        type=float,
        metavar="F",
        help=f"of any output between a model and its exported file (default: {usual})",
    )
    usual = ", ".join(f"{bounds.max_changed:g} at {name}" for name, bounds in BOUNDS.items())
    group.add_argument(
        "--max-changed", type=float, metavar="F", help=f"share of predictions that differ (default: {usual})"
    )
    group.add_argument(
        "--tune",
        dest="is_tuned",
        action="store_true",
        help="measure batch sizes, threads and batches at once; service curves go into the cascade file",
    )


def _add_triton_options(group: Group) -> None:
    defaults = TritonSettings
    _add(
        group,
        "--triton-backend",
        defaults.triton_backend,
        "python runs the same ONNX file in builds without the other",
        choices=BACKENDS,
    )
    _add(group, "--max-batch-size", defaults.max_batch_size, "rows put together", type=int)
    group.add_argument(
        "--preferred-batch-sizes",
        type=_numbers(int),
        default=(),
        metavar="N,N",
        help="(default: a quarter of the maximum, and the maximum)",
    )
    _add(group, "--queue-delay-us", defaults.queue_delay_us, "how long to wait for a fuller batch", type=int)
    _add(group, "--max-queue-size", defaults.max_queue_size, "requests, 0 for any number", type=int)
    _add(
        group,
        "--queue-timeout-us",
        defaults.queue_timeout_us,
        "then a request is rejected, 0 for never",
        type=int,
    )
    _add(group, "--instances", defaults.instances, "that run side by side, 0 for one", type=int)
    _add(group, "--instance-kind", defaults.instance_kind, "where they run", choices=INSTANCE_KINDS)
    _add(
        group,
        "--intra-op-threads",
        defaults.intra_op_threads,
        "of an instance, 0 for its backend's own",
        type=int,
    )
    _add(
        group,
        "--accelerator",
        defaults.accelerator,
        "of ONNX Runtime within Triton, on a GPU",
        choices=ACCELERATORS,
    )
    _add(group, "--version-policy", defaults.version_policy, "versions that are loaded: all or latest:N")
    group.add_argument(
        "--no-warm-up",
        dest="is_warmed_up",
        action="store_false",
        help="keep no row beside the model for Triton to run before it is ready",
    )


def add_foreign_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the models")
    group.add_argument(
        "--samples",
        type=Path,
        required=True,
        metavar="ROWS.npz",
        help="labelled rows: each input under its name, labels, and if need be groups and classes",
    )
    group.add_argument(
        "--classes",
        type=_names,
        default=(),
        metavar="A,B,C",
        help="in the order of the outputs (default: numbers)",
    )
    group.add_argument("--output", default="", metavar="NAME", help="which output is the classes'")
    _add(group, "--output-kind", "auto", "what it holds", choices=("auto", "logits", "probabilities"))
    group.add_argument(
        "--macs",
        type=_numbers(float),
        default=(),
        metavar="F,F",
        help="what a row costs each model, in any unit (default: multiply-adds are counted)",
    )


def _add(group: Group, option: str, default: object, text: str, **more: object) -> None:
    more.setdefault("metavar", None if "choices" in more else "N" if more.get("type") is int else "X")
    group.add_argument(option, default=default, help=f"{text} (default %(default)s)", **more)  # type: ignore[arg-type]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _numbers(kind: Callable[[str], Number]) -> Callable[[str], tuple[Number, ...]]:
    def parse(text: str) -> tuple[Number, ...]:
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not of the form 1,2") from None

    return parse
