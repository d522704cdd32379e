"""From a plan to a published cascade."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from cascade.cascade_file import SUFFIX, Cascade, write_cascade
from cascade.policy import Policy
from cascade.scores import OutputKind, softmax
from cascade.scores_file import ScoresFile, write_scores
from cascade.versions import keep, prune
from export.errors import RepositoryError, naming
from export.inference import PROVIDERS
from export.journal import file_digest
from export.plan import Plan
from export.policies import fit_policies
from export.publish import locked, publish, staging_beside
from export.repository import SCORES_SUFFIX
from export.rows import Rows
from export.staged_member import PYTHON_MODEL, SCRIPTS, StagedMember, stage_member, write_configs
from export.tune import Tuning, tune, with_tuning

PACKAGES = ("torch", "onnx", "onnxscript", "numpy", "tensorrt")


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was published; `tuning` is None where nothing was measured."""

    members: tuple[StagedMember, ...]
    cascade: Cascade
    tuning: Tuning | None


def export(plan: Plan, say: Callable[[str], None]) -> Export:
    """Make, check and publish. After any error the repository is as it was; of a kill see `export.publish`.

    Raises RepositoryError where somebody else published under this name meanwhile.
    """
    repository, name = plan.repository.folder, plan.settings.name
    with staging_beside(repository) as staging:
        members = _stage_members(plan, staging.new, say)
        tuning = _tune(plan, members, say)
        plan = with_tuning(plan, tuning)
        write_configs(plan, {member.name: member for member in members}, staging.new)
        scores = _make_scores(members, plan.source.rows, tuning)
        write_scores(staging.new / f"{name}{SCORES_SUFFIX}", scores)
        say(f"fitting policies on {scores.num_rows} calibration rows")
        policies = fit_policies(scores, plan.stages, plan.settings)
        cascade = make_cascade(plan, members, policies, tuning)
        file = staging.new / f"{name}{SUFFIX}"
        write_cascade(file, cascade)
        if plan.previous:
            keep(file, plan.previous)
        with locked(repository):
            _check_unchanged(plan, members)
            publish(staging, repository)
            prune(repository / file.name)
    return Export(members=members, cascade=cascade, tuning=tuning)


def _stage_members(plan: Plan, folder: Path, say: Callable[[str], None]) -> tuple[StagedMember, ...]:
    """A model that is exported at several precisions is loaded once."""
    staged = []
    for _, of_model in groupby(plan.members, key=lambda member: member.place):
        model = None
        for member in of_model:
            say(f"{member.name}: converting and checking")
            with naming(member.name):
                model = model or member.source.load()
                staged.append(stage_member(plan, member, model, folder))
    return tuple(staged)


def _tune(plan: Plan, members: Sequence[StagedMember], say: Callable[[str], None]) -> Tuning | None:
    if not plan.settings.is_tuned:
        return None
    say("measuring how the embedded runtime runs them fastest")
    return tune(
        {member.name: (member.file, member.signature) for member in members},
        plan.source.rows,
        plan.settings.triton.max_batch_size,
    )


def _make_scores(members: Sequence[StagedMember], rows: Rows, tuning: Tuning | None) -> ScoresFile:
    """Logits where all members give them, else probabilities."""
    kinds = {member.signature.output_kind for member in members}
    kind: OutputKind = "logits" if kinds == {"logits"} else "probabilities"
    return ScoresFile(
        outputs=np.stack([_as(kind, member).astype(np.float32) for member in members]),
        kind=kind,
        labels=rows.labels,
        names=tuple(member.name for member in members),
        macs=tuple(member.macs for member in members),
        sha256=tuple(member.sha256 for member in members),
        groups=rows.groups,
        seconds=tuple(tuning.seconds_per_row(member.name) for member in members) if tuning else (),
    )


def _as(kind: OutputKind, member: StagedMember) -> NDArray[np.floating]:
    return member.outputs if member.signature.output_kind == kind else softmax(member.outputs)


def _check_unchanged(plan: Plan, members: Sequence[StagedMember]) -> None:
    """Version numbers were given out on what the repository held before."""
    if plan.repository.cascade(plan.settings.name) != plan.previous:
        raise RepositoryError(f"cascade {plan.settings.name} was changed by others meanwhile: export again")
    for member in members:
        if plan.repository.newest_version(member.name) != member.newest_before:
            raise RepositoryError(f"member {member.name} was published by others meanwhile: export again")


def make_cascade(
    plan: Plan, members: Sequence[StagedMember], policies: Mapping[str, Policy], tuning: Tuning | None
) -> Cascade:
    return Cascade(
        name=plan.settings.name,
        version=plan.cascade_version,
        inputs=plan.source.inputs,
        classes=plan.source.classes,
        members=tuple(
            member.to_cascade(tuning.curves[member.name] if tuning else None) for member in members
        ),
        stages=plan.stages,
        policies=policies,
        default_policy=plan.settings.default_policy,
        provenance=_provenance(plan, members),
        runtime=tuning.runtime if tuning else None,
    )


def _provenance(plan: Plan, members: Sequence[StagedMember]) -> dict[str, Any]:
    return {
        **plan.source.provenance,
        "export_versions": _versions(),
        "opsets": {member.name: _opset(member) for member in members if member.format == "onnx"},
        "provider": PROVIDERS[0],
        SCRIPTS: _scripts(plan, members),
        "checks": {member.name: member.differences.to_json() for member in members},
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _scripts(plan: Plan, members: Sequence[StagedMember]) -> dict[str, str]:
    """Of what Triton runs with all its rights."""
    if plan.settings.backend != "python":
        return {}
    digest = file_digest(PYTHON_MODEL)
    return {f"{member.name}/{member.version}/{PYTHON_MODEL.name}": digest for member in members}


def _opset(member: StagedMember) -> int:
    model = onnx.load(member.file, load_external_data=False)
    return max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _versions() -> dict[str, str]:
    """Of what is installed: not all exports need torch."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    # ONNX Runtime is installed under several names, and knows its version itself.
    return {**found, "onnxruntime": onnxruntime.__version__}
