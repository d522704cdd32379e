"""What is said once a cascade is published."""

from collections.abc import Iterator, Sequence

from cascade.cascade_file import SUFFIX
from cascade.policy import Policy
from export.pipeline import Export
from export.plan import Plan
from export.repository import CONFIG, SCORES_SUFFIX
from export.staged_member import StagedMember


def report(plan: Plan, export: Export) -> Iterator[str]:
    folder, name = plan.repository.folder, plan.settings.name
    yield f"{folder} holds {name}, version {export.cascade.version}:"
    for member, published in zip(export.members, export.cascade.members, strict=True):
        yield f"  {published.file}  {_member(member)}"
        yield f"  {member.name}/{CONFIG}"
    yield f"  {name}{SCORES_SUFFIX}  {len(plan.run.calibration.labels)} calibration rows"
    yield f"  {name}{SUFFIX}  stages {' -> '.join('+'.join(stage) for stage in plan.stages)}"
    if plan.dropped_policies:
        yield f"dropped, since every export starts with its own policies: {', '.join(plan.dropped_policies)}"
    yield f"policies for {plan.settings.objective}, estimated on the rows that set their acceptance:"
    for kind, policy in export.cascade.policies.items():
        yield _policy(kind, policy, is_default=kind == export.cascade.default_policy)
    yield f"next: python -m serving {folder}"


def _member(member: StagedMember) -> str:
    state = "new" if member.is_new else "unchanged"
    return f"{state}, {member.macs:,.0f} MACs a row; against the model: {member.differences}"


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
