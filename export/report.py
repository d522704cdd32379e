"""What is said once a cascade is published."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cascade.cascade_file import SUFFIX
from cascade.fitting.budget import parse_budget
from cascade.policy import Policy
from export.pipeline import Export
from export.plan import Plan
from export.repository import CONFIG, SCORES_SUFFIX
from export.staged_member import StagedMember
from export.tune import Tuning

FEW = 0.05
"""Of the rows: with fewer that can go on, a cascade is little more than its first stage."""


def report(plan: Plan, export: Export) -> Iterator[str]:
    folder, name, labels = plan.repository.folder, plan.settings.name, plan.source.rows.labels
    yield f"{folder} holds {name}, version {export.cascade.version}:"
    for member, published in zip(export.members, export.cascade.members, strict=True):
        yield f"  {published.file}  {_member(member, labels)}"
        yield f"  {member.name}/{CONFIG}"
    yield f"  {name}{SCORES_SUFFIX}  {len(labels)} calibration rows"
    yield f"  {name}{SUFFIX}  stages {' -> '.join('+'.join(stage) for stage in plan.stages)}"
    if plan.dropped_policies:
        yield f"dropped, since every export starts with its own policies: {', '.join(plan.dropped_policies)}"
    if plan.previous is not None and plan.previous.gears:
        yield f"dropped, since policies are new: the gears {', '.join(plan.previous.gears)}"
    yield from _notes(plan)
    yield f"policies for {plan.settings.objective}, estimated on the rows that set their acceptance:"
    for kind, policy in export.cascade.policies.items():
        yield _policy(kind, policy, is_default=kind == export.cascade.default_policy)
    if export.tuning is not None:
        yield from _tuning(export.tuning)
    if plan.settings.format == "onnx":
        yield f"next: python -m serving {folder}{_flags(export.tuning)}"


def _member(member: StagedMember, labels: NDArray[np.int64]) -> str:
    state = "new" if member.is_new else "unchanged"
    accuracy = float((member.outputs.argmax(axis=1) == labels).mean())
    kind = "" if member.signature.output_kind == "logits" else " probabilities,"
    return (
        f"{state}, {member.precision},{kind} {member.macs:,.0f} MACs a row, {accuracy:.1%} right here; "
        f"against the model: {member.differences}"
    )


def _notes(plan: Plan) -> Iterator[str]:
    """What is likely not meant, by the stages' multiply-adds."""
    costs, budget = plan.stage_macs, parse_budget(plan.settings.budget)
    if len(costs) == 1 or budget.is_seconds:
        return
    if costs[0] > costs[1]:
        yield "note: stage 1 costs more than stage 2; the cheapest is to come first"
    share = (budget.limit(costs) - costs[0]) / costs[1]
    if share < FEW:
        yield (
            f"note: a budget of {budget} lets {share:.1%} of the rows go on to stage 2, which costs "
            f"{costs[1] / costs[0]:.0f}x stage 1; --budget 0.5full would let half of it be spent"
        )


def _tuning(tuning: Tuning) -> Iterator[str]:
    """All members together: rows per second of rows that run them all."""
    yield "rows/s of the embedded runtime, by rows a batch (batches at once x threads each):"
    for measurement in tuning.measurements:
        setting = measurement.setting
        rates = "  ".join(f"{size}: {measurement.rows_per_s(size):,.0f}" for size in measurement.sizes)
        spinning = " spinning" if setting.is_spinning else ""
        yield f"  {setting.num_workers} x {setting.num_threads}{spinning}  {rates}"
    for name, curve in tuning.curves.items():
        milliseconds = f"{curve.per_row_s * 1000:.3f} ms a row + {curve.per_batch_s * 1000:.3f} ms a batch"
        row = tuning.seconds_per_row(name) * 1000
        yield f"  {name}: a batch takes {milliseconds} on one worker; a budget counts {row:.3f} ms a row"


def _flags(tuning: Tuning | None) -> str:
    if tuning is None:
        return ""
    runtime = tuning.runtime
    flags = f" --workers {runtime.num_workers} --threads {runtime.num_threads}"
    return f"{flags} --max-batch-rows {runtime.max_batch_rows}{' --spin' if runtime.is_spinning else ''}"


def _policy(kind: str, policy: Policy, *, is_default: bool) -> str:
    cost, coverage, risk = (policy.evidence[key] for key in ("cost", "coverage", "risk"))
    mark = "  (default)" if is_default else ""
    return f"  {kind:9}  cost {cost:.3f}x  coverage {_share(coverage)}  risk {_share(risk)}{mark}"


def _share(estimate: Sequence[float | None]) -> str:
    """`[value, lower, upper]`, without bounds where there was no row."""
    value, lower, upper = estimate
    if value is None or lower is None or upper is None:
        return "of no row"
    return f"{value:.1%} [{lower:.1%}, {upper:.1%}]"
