"""From a plan to a published cascade."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from cascade.cascade_file import SUFFIX, Cascade, write_cascade
from cascade.policy import Policy
from cascade.scores_file import ScoresFile, write_scores
from export.errors import RepositoryError
from export.graph import OPSET
from export.logits import PROVIDERS
from export.plan import Plan
from export.policies import fit_policies
from export.publish import locked, publish, staging_beside
from export.repository import SCORES_SUFFIX
from export.run import CalibrationRows
from export.staged_member import StagedMember, stage_member

PACKAGES = ("torch", "onnx", "onnxscript", "numpy")


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was published."""

    members: tuple[StagedMember, ...]
    cascade: Cascade


def export_run(plan: Plan, say: Callable[[str], None]) -> Export:
    """Make, check and publish. After any error the repository is as it was; of a kill see `export.publish`.

    Raises RepositoryError where somebody else published under this name meanwhile.
    """
    repository = plan.repository.folder
    with staging_beside(repository) as staging:
        members = _stage_members(plan, staging.new, say)
        scores = _make_scores(members, plan.run.calibration)
        write_scores(staging.new / f"{plan.settings.name}{SCORES_SUFFIX}", scores)
        say(f"fitting policies on {scores.num_rows} calibration rows")
        policies = fit_policies(scores, plan.stages, plan.settings)
        cascade = make_cascade(plan, members, policies)
        write_cascade(staging.new / f"{plan.settings.name}{SUFFIX}", cascade)
        with locked(repository):
            _check_unchanged(plan, members)
            publish(staging, repository)
    return Export(members=members, cascade=cascade)


def _make_scores(members: Sequence[StagedMember], rows: CalibrationRows) -> ScoresFile:
    return ScoresFile(
        outputs=np.stack([member.logits for member in members]),
        kind="logits",
        labels=rows.labels,
        names=tuple(member.name for member in members),
        macs=tuple(member.macs for member in members),
        sha256=tuple(member.sha256 for member in members),
        groups=rows.groups,
    )


def _check_unchanged(plan: Plan, members: Sequence[StagedMember]) -> None:
    """Version numbers were given out on what the repository held before."""
    if plan.repository.cascade(plan.settings.name) != plan.previous:
        raise RepositoryError(f"cascade {plan.settings.name} was changed by others meanwhile: export again")
    for member in members:
        if plan.repository.newest_version(member.name) != member.newest_before:
            raise RepositoryError(f"member {member.name} was published by others meanwhile: export again")


def make_cascade(plan: Plan, members: Sequence[StagedMember], policies: Mapping[str, Policy]) -> Cascade:
    return Cascade(
        name=plan.settings.name,
        version=plan.cascade_version,
        inputs=(plan.run.input,),
        classes=plan.run.classes,
        members=tuple(member.to_cascade(plan.run.input.name) for member in members),
        stages=plan.stages,
        policies=policies,
        default_policy=plan.settings.default_policy,
        provenance=_provenance(plan, members),
    )


def _stage_members(plan: Plan, folder: Path, say: Callable[[str], None]) -> tuple[StagedMember, ...]:
    members = []
    for index, name in enumerate(plan.members):
        say(f"{name}: converting and checking")
        members.append(stage_member(plan, index, folder))
    return tuple(members)


def _provenance(plan: Plan, members: Sequence[StagedMember]) -> dict[str, Any]:
    """Where a data set lay is the trainer's own business, and no news to anyone else."""
    dataset = {key: value for key, value in plan.run.dataset.items() if key != "data_root"}
    return {
        "run": plan.run.name,
        "dataset": dataset,
        "training_versions": dict(plan.run.versions),
        "export_versions": _versions(),
        "opset": OPSET,
        "provider": PROVIDERS[0],
        "checks": {member.name: member.differences.to_json() for member in members},
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _versions() -> dict[str, str]:
    # ONNX Runtime is installed under several names, and knows its version itself.
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "onnxruntime": onnxruntime.__version__,
    }
