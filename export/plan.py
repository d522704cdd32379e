"""All that can be settled and refused before a model is touched."""

import re
from dataclasses import dataclass

from cascade.cascade_file import PRECISIONS, Cascade, check_name
from cascade.fitting.budget import parse_budget
from cascade.stages import Stages
from export.errors import SettingsError
from export.policies import kinds_for
from export.repository import Repository
from export.settings import ExportSettings
from export.source import MemberSource, Source
from export.tensorrt import check_available

PLAIN = "fp32"
_PLACE = re.compile(r"\s*([0-9]+)(?::(\w+))?\s*")


@dataclass(frozen=True, kw_only=True)
class PlannedMember:
    """A model of the source at a precision, and the name it is published under."""

    name: str
    place: int
    source: MemberSource
    precision: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`members` stand in the source's order; `previous` is the cascade to be replaced."""

    settings: ExportSettings
    source: Source
    repository: Repository
    members: tuple[PlannedMember, ...]
    stages: Stages
    previous: Cascade | None

    @property
    def cascade_version(self) -> int:
        return self.previous.version + 1 if self.previous else 1

    @property
    def stage_macs(self) -> tuple[float, ...]:
        macs = {member.name: member.source.macs for member in self.members}
        return tuple(sum(macs[name] for name in stage) for stage in self.stages)

    @property
    def dropped_policies(self) -> tuple[str, ...]:
        """Those that others added to the cascade, which were fitted on the members before."""
        fitted = kinds_for(self.stages)
        return tuple(name for name in (self.previous.policies if self.previous else ()) if name not in fitted)


def make_plan(source: Source, repository: Repository, settings: ExportSettings) -> Plan:
    """ExportError or CascadeError says what is wrong."""
    if settings.format == "tensorrt":
        check_available()
        if settings.is_tuned:
            raise SettingsError("--tune measures the embedded runtime, which runs no tensorrt plans")
    members, stages = _plan_members(source, settings)
    for member in members:
        check_name(member.name)
    plan = Plan(
        settings=settings,
        source=source,
        repository=repository,
        members=members,
        stages=stages,
        previous=repository.cascade(settings.name),
    )
    _check_policies(plan)
    signatures = {member.name: member.source.signature for member in members}
    repository.check_can_hold(settings.name, signatures, settings.backend)
    return plan


def _plan_members(source: Source, settings: ExportSettings) -> tuple[tuple[PlannedMember, ...], Stages]:
    """`0:int8;0;1` to members and stages. A model that stands nowhere would be exported for nothing."""
    count = len(source.members)
    text = ";".join(map(str, range(count))) if settings.stages is None else settings.stages
    entries = [
        [_parse(entry, text, settings.precision) for entry in stage.split(",")] for stage in text.split(";")
    ]
    flat = [entry for stage in entries for entry in stage]
    if {place for place, _ in flat} != set(range(count)):
        raise SettingsError(f"stages {text!r} must hold each of the members 0 to {count - 1}, and no other")
    if len(set(flat)) != len(flat):
        raise SettingsError(
            f"stages {text!r}: a member stands twice at one precision ({settings.precision}, if not said)"
        )
    members = {
        (place, precision): PlannedMember(
            name=f"{settings.name}-{place}" + ("" if precision == PLAIN else f"-{precision}"),
            place=place,
            source=source.members[place],
            precision=precision,
        )
        for place, precision in sorted(flat, key=lambda entry: (entry[0], PRECISIONS.index(entry[1])))
    }
    stages = tuple(tuple(members[entry].name for entry in stage) for stage in entries)
    return tuple(members.values()), stages


def _parse(entry: str, text: str, precision: str) -> tuple[int, str]:
    form = _PLACE.fullmatch(entry)
    if form is None or (form[2] or precision) not in PRECISIONS:
        raise SettingsError(
            f"stages {text!r} are not of the form '0;1,2', with precisions if need be as in '0:int8;0' "
            f"({', '.join(PRECISIONS)})"
        )
    return int(form[1]), form[2] or precision


def _check_policies(plan: Plan) -> None:
    kinds = kinds_for(plan.stages)
    if plan.settings.default_policy not in kinds:
        raise SettingsError(f"default_policy {plan.settings.default_policy!r} is none of {', '.join(kinds)}")
    budget = parse_budget(plan.settings.budget)
    if budget.is_seconds and not plan.settings.is_tuned:
        raise SettingsError(f"budget {budget} counts seconds, which are only measured with --tune")
    if not budget.is_seconds:
        budget.limit(plan.stage_macs)
