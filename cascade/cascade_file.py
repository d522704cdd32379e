"""`NAME.cascade.json`: what is served under one model name.

Export writes it, the router and the command line read it. Members are pinned by version and sha256;
each policy names the sha256 of the members it was fitted on and is refused with any others.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cascade.errors import FormatError, PolicyError
from cascade.fields import Fields, number, read_json, strings, write_json
from cascade.policy import Policy
from cascade.policy_file import check_sizes, policy_from_json, policy_to_json
from cascade.runtime import Runtime, ServiceCurve, curve_from_json, runtime_from_json
from cascade.scores import OutputKind, check_score
from cascade.stages import Stages, stages_from_json

FORMAT_VERSION = 1
SUFFIX = ".cascade.json"
NAME = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,128}")
DATATYPES = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "BYTES"),
)
OUTPUT_KINDS: tuple[OutputKind, ...] = ("logits", "probabilities")
MODEL_FILES = {"onnx": "model.onnx", "tensorrt": "model.plan"}
"""What a member's file is called, by its format, as Triton wants it."""
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """A named input. The first dimension is the batch; -1 marks a dimension that may vary."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.datatype not in DATATYPES:
            raise FormatError(f"input {self.name!r}: datatype {self.datatype!r} is unknown")
        if not self.shape or self.shape[0] != -1 or any(d < 1 and d != -1 for d in self.shape):
            raise FormatError(
                f"input {self.name!r}: shape {list(self.shape)} must begin with -1 (the batch), "
                "and hold positive numbers or -1"
            )


@dataclass(frozen=True, kw_only=True)
class Member:
    """A model of the ensemble, as the repository holds it.

    `inputs` maps the cascade's input names to the member's own; `macs` is per row. `precision` is that of
    most of its arithmetic; `service_curve` what its batches take, where that was measured.
    """

    name: str
    version: int
    sha256: str
    macs: float
    output: str = "logits"
    output_kind: OutputKind = "logits"
    inputs: Mapping[str, str] = field(default_factory=dict)
    format: str = "onnx"
    precision: str = "fp32"
    service_curve: ServiceCurve | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("format", self.format, MODEL_FILES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise FormatError(f"member {self.name!r}: {name} {value!r} is none of {', '.join(known)}")

    @property
    def file(self) -> str:
        """Where the model lies, relative to the repository."""
        return f"{self.name}/{self.version}/{MODEL_FILES[self.format]}"


@dataclass(frozen=True, kw_only=True)
class Cascade:
    """An ordered list of stages, served under one model name, with the policies that drive it.

    `runtime` is how the embedded runtime ran its members fastest, where that was measured. `gears` are
    policies from the default one, the dearest, to the cheapest: a server that cannot keep up shifts from each
    to the next.
    """

    name: str
    version: int
    inputs: tuple[TensorSpec, ...]
    classes: tuple[str, ...]
    members: tuple[Member, ...]
    stages: Stages
    policies: Mapping[str, Policy]
    default_policy: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
    runtime: Runtime | None = None
    gears: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.version < 1:
            raise FormatError(f"version {self.version} must be 1 or more")
        for name, values in (("inputs", [spec.name for spec in self.inputs]), ("classes", self.classes)):
            if len(set(values)) != len(values):
                raise FormatError(f"{name} hold a name twice: {', '.join(values)}")
        if not self.inputs or len(self.classes) < 2:
            raise FormatError("a cascade needs at least 1 input and 2 classes")
        self._check_members()
        if self.default_policy not in self.policies:
            raise FormatError(f"default_policy {self.default_policy!r} is no policy of this cascade")
        for name, policy in self.policies.items():
            self._check_policy(name, policy)
        self._check_gears()

    def _check_gears(self) -> None:
        for name in self.gears:
            if name not in self.policies:
                raise FormatError(f"gear {name!r} is no policy of this cascade")
        if len(set(self.gears)) != len(self.gears) or len(self.gears) == 1:
            raise FormatError(f"gears are two policies or more, each once, got {', '.join(self.gears)}")
        if self.gears and self.gears[0] != self.default_policy:
            raise FormatError(
                f"gears begin with the default policy, {self.default_policy!r}, not with {self.gears[0]!r}"
            )
        costs = [(name, cost) for name in self.gears if (cost := self.policies[name].known_cost) is not None]
        for (dear, cost), (cheap, less) in itertools.pairwise(costs):
            if less > cost:
                raise FormatError(
                    f"gears go from the dearest to the cheapest, and {cheap!r} costs {less:.3g}x stage 1, "
                    f"{dear!r} before it {cost:.3g}x"
                )

    def _check_members(self) -> None:
        names = [member.name for member in self.members]
        staged = [name for stage in self.stages for name in stage]
        if len(set(names)) != len(names):
            raise FormatError("two members have the same name")
        if sorted(staged) != sorted(names):
            raise FormatError(f"stages hold {staged}, and the members are {names}")
        for name in (self.name, *names):
            check_name(name)
        inputs = {spec.name for spec in self.inputs}
        for member in self.members:
            if set(member.inputs) != inputs:
                raise FormatError(
                    f"member {member.name!r} maps inputs {sorted(member.inputs)}, not {sorted(inputs)}"
                )

    def _check_policy(self, name: str, policy: Policy) -> None:
        check_name(name)
        by_name = {member.name: member for member in self.members}
        for member, sha256 in policy.members.items():
            if member not in by_name:
                raise PolicyError(f"policy {name!r} was fitted on member {member!r}, which is not here")
            if sha256 not in (None, by_name[member].sha256):
                raise PolicyError(f"policy {name!r} was fitted on another {member!r} (sha256 {sha256})")
        for each in self.members:
            self._check_score(name, policy, each)
        try:
            check_sizes(policy, self.stages)
        except PolicyError as error:
            raise PolicyError(f"policy {name!r} {error}") from None

    def _check_score(self, name: str, policy: Policy, member: Member) -> None:
        try:
            check_score(policy.score, member.output_kind, len(self.classes))
        except PolicyError as error:
            raise PolicyError(f"policy {name!r}, member {member.name!r}: {error}") from None

    def member(self, name: str) -> Member:
        return next(member for member in self.members if member.name == name)

    def members_through(self, stage: int) -> tuple[str, ...]:
        """Names of the members that have run once `stage` (from 0) is done."""
        return tuple(name for names in self.stages[: stage + 1] for name in names)

    @property
    def stage_macs(self) -> tuple[float, ...]:
        return tuple(sum(self.member(name).macs for name in stage) for stage in self.stages)

    def with_policy(self, name: str, policy: Policy, *, is_default: bool = False) -> "Cascade":
        """The next version of this cascade, with a policy added or replaced."""
        return replace(
            self,
            version=self.version + 1,
            policies={**self.policies, name: policy},
            default_policy=name if is_default else self.default_policy,
        )

    def with_gears(self, names: Sequence[str]) -> "Cascade":
        """The next version of this cascade, with these policies for gears; with none where there are none."""
        return replace(self, version=self.version + 1, gears=tuple(names))


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise FormatError(
            f"name {name[:80]!r} is not 1 to 128 letters, digits, '_', '.' or '-', not beginning with a dot"
        )


def read_cascade(path: Path) -> Cascade:
    """Read and check a cascade file; FormatError names the file and what is wrong."""
    cascade = cascade_from_json(read_json(path), str(path))
    if path.name != cascade.name + SUFFIX:
        raise FormatError(f"{path}: holds {cascade.name!r}, so it must be called {cascade.name + SUFFIX}")
    return cascade


def cascade_from_json(value: object, where: str) -> Cascade:
    """A checked cascade; FormatError begins with `where`."""
    fields = Fields(value, where)
    fields.version(FORMAT_VERSION)
    stages = stages_from_json(fields.take("stages", list), f"{where}: stages")
    policies = fields.take("policies", dict)
    runtime = fields.take("runtime", dict, None)
    parts = {
        "name": fields.take("name", str),
        "version": fields.take("version", int),
        "inputs": tuple(_tensor(item, f"{where}: inputs") for item in fields.take("inputs", list)),
        "classes": strings(fields.take("classes", list), f"{where}: classes"),
        "members": tuple(_member(item, f"{where}: members") for item in fields.take("members", list)),
        "stages": stages,
        "policies": {
            name: policy_from_json(item, f"{where}: policy {name!r}", len(stages))
            for name, item in policies.items()
        },
        "default_policy": fields.take("default_policy", str),
        "provenance": fields.take("provenance", dict, {}),
        "runtime": None if runtime is None else runtime_from_json(runtime, f"{where}: runtime"),
        "gears": strings(fields.take("gears", list, []), f"{where}: gears"),
    }
    fields.close()
    try:
        return Cascade(**parts)
    except (FormatError, PolicyError) as error:
        raise FormatError(f"{where}: {error}") from None


def write_cascade(path: Path, cascade: Cascade) -> None:
    write_json(path, cascade_to_json(cascade))


def cascade_to_json(cascade: Cascade) -> dict[str, Any]:
    document = {
        "format_version": FORMAT_VERSION,
        "name": cascade.name,
        "version": cascade.version,
        "inputs": [
            {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
            for spec in cascade.inputs
        ],
        "classes": list(cascade.classes),
        "stages": [list(stage) for stage in cascade.stages],
        "members": [_member_to_json(member) for member in cascade.members],
        "default_policy": cascade.default_policy,
        "policies": {name: policy_to_json(policy) for name, policy in cascade.policies.items()},
        "provenance": dict(cascade.provenance),
    }
    if cascade.gears:
        document["gears"] = list(cascade.gears)
    return document if cascade.runtime is None else document | {"runtime": asdict(cascade.runtime)}


def _tensor(value: object, where: str) -> TensorSpec:
    fields = Fields(value, where)
    shape = fields.take("shape", list)
    if not all(isinstance(d, int) and not isinstance(d, bool) for d in shape):
        raise FormatError(f"{where}: shape {shape} must hold whole numbers")
    name, datatype = fields.take("name", str), fields.take("datatype", str)
    fields.close()
    try:
        return TensorSpec(name=name, datatype=datatype, shape=tuple(shape))
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None


def _member(value: object, where: str) -> Member:
    fields = Fields(value, where)
    kind = fields.take("output_kind", str, "logits")
    inputs = fields.take("inputs", dict)
    if kind not in OUTPUT_KINDS:
        raise FormatError(f"{where}: output_kind {kind!r} is neither of {', '.join(OUTPUT_KINDS)}")
    if not all(isinstance(name, str) for name in inputs.values()):
        raise FormatError(f"{where}: inputs must map names to names")
    curve = fields.take("service_curve", dict, None)
    parts = {
        "name": fields.take("name", str),
        "version": fields.take("version", int),
        "sha256": fields.take("sha256", str),
        "macs": number(fields.take("macs", (int, float)), f"{where}: macs"),
        "output": fields.take("output", str, "logits"),
        "format": fields.take("format", str, "onnx"),
        "precision": fields.take("precision", str, "fp32"),
        "service_curve": None if curve is None else curve_from_json(curve, f"{where}: service_curve"),
    }
    fields.close()
    try:
        member = Member(output_kind=kind, inputs=inputs, **parts)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None
    if member.macs <= 0 or member.version < 1:
        raise FormatError(f"{where}: member {member.name!r} needs macs above 0 and a version of 1 or more")
    return member


def _member_to_json(member: Member) -> dict[str, Any]:
    document = {
        "name": member.name,
        "version": member.version,
        "sha256": member.sha256,
        "macs": member.macs,
        "output": member.output,
        "output_kind": member.output_kind,
        "inputs": dict(member.inputs),
        "format": member.format,
        "precision": member.precision,
    }
    return document | ({"service_curve": asdict(member.service_curve)} if member.service_curve else {})
