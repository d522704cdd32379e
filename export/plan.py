"""All that can be settled and refused before a model is touched."""

from dataclasses import dataclass
from pathlib import Path

from cascade.cascade_file import Cascade, check_name
from cascade.fitting.budget import parse_budget
from cascade.stages import Stages, parse_stages
from export.errors import SettingsError
from export.policies import kinds_for
from export.repository import Repository
from export.run import Run, read_run
from export.settings import ExportSettings
from export.triton_config import MemberSignature


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`members` are the published names, in the run's order; `previous` is the cascade to be replaced."""

    settings: ExportSettings
    run: Run
    repository: Repository
    members: tuple[str, ...]
    stages: Stages
    previous: Cascade | None

    @property
    def signature(self) -> MemberSignature:
        return MemberSignature(input=self.run.input, num_classes=len(self.run.classes))

    @property
    def cascade_version(self) -> int:
        return self.previous.version + 1 if self.previous else 1

    @property
    def dropped_policies(self) -> tuple[str, ...]:
        """Those that others added to the cascade, which were fitted on the members before."""
        fitted = kinds_for(self.stages)
        return tuple(name for name in (self.previous.policies if self.previous else ()) if name not in fitted)


def make_plan(run_folder: Path, repository: Repository, settings: ExportSettings) -> Plan:
    """ExportError or CascadeError says what is wrong."""
    run = read_run(run_folder)
    members = tuple(f"{settings.name}-{index}" for index in range(len(run.members)))
    for member in members:
        check_name(member)
    plan = Plan(
        settings=settings,
        run=run,
        repository=repository,
        members=members,
        stages=_all_in_stages(settings.stages, members),
        previous=repository.cascade(settings.name),
    )
    _check_policies(plan)
    repository.check_can_hold(settings.name, members, plan.signature)
    return plan


def _all_in_stages(text: str | None, members: tuple[str, ...]) -> Stages:
    """A member that stands in no stage would be published and never run."""
    stages = parse_stages(text, members)
    if sum(map(len, stages)) != len(members):
        raise SettingsError(f"stages {text!r} must hold each of the members 0 to {len(members) - 1}")
    return stages


def _check_policies(plan: Plan) -> None:
    kinds = kinds_for(plan.stages)
    if plan.settings.default_policy not in kinds:
        raise SettingsError(f"default_policy {plan.settings.default_policy!r} is none of {', '.join(kinds)}")
    macs = dict(zip(plan.members, (member.macs for member in plan.run.members), strict=True))
    parse_budget(plan.settings.budget).limit([sum(macs[name] for name in stage) for stage in plan.stages])
