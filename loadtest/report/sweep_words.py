"""What a sweep says, in words. Pure."""

from loadtest.case import Case
from loadtest.figures.probe import Goal, Probe, Surface
from loadtest.report.wording import per_second


def cases_of(surface: Surface) -> list[Case]:
    """In the order of their models' policies, whatever the order in which they were driven."""
    return sorted(surface.cases, key=_rank)


def _rank(case: Case) -> tuple[str, int, str, str]:
    policies = [] if case.cascade is None else list(case.cascade.policies)
    number = policies.index(case.policy) if case.policy in policies else len(policies)
    return case.served.name, number, case.contender, case.over


def in_order(surface: Surface) -> list[Probe]:
    """Case by case, difficulty by difficulty, by rate."""
    cases, shares = cases_of(surface), surface.hard_shares
    return [probe for case in cases for share in shares for probe in surface.of(case, share)]


def difficulty_text(hard_share: float | None) -> str:
    return "as they come" if hard_share is None else f"{hard_share * 100:g}%"


def goal_mark(probe: Probe) -> str:
    """Of a probe that the generator may have spoilt nothing is said."""
    if not probe.is_valid:
        return "?"
    return "✓" if probe.is_good else "✗"


def lead(surface: Surface, goal: Goal) -> str:
    """Up to which rate each case holds, at each difficulty."""
    return " ".join(
        f"The goal, {goal}, holds{_with(share)}: {_held(surface, share)}." for share in surface.hard_shares
    )


def _with(share: float | None) -> str:
    return "" if share is None else f", with {difficulty_text(share)} of the rows hard"


def _held(surface: Surface, share: float | None) -> str:
    held = [(case.name, _highest(surface.of(case, share))) for case in cases_of(surface)]
    return ", ".join(
        f"{name} {'at none' if rate is None else f'up to {per_second(rate)}/s'}" for name, rate in held
    )


def _highest(probes: list[Probe]) -> float | None:
    """Below the first rate that fails: one that holds above it does so by luck. A probe that the generator
    may have spoilt holds nothing."""
    held = None
    for probe in probes:
        if not (probe.is_good and probe.is_valid):
            break
        held = probe.rate
    return held


def invalid_text(surface: Surface) -> str:
    """Empty where the generator kept up throughout."""
    invalid = [probe for probe in surface.probes if not probe.is_valid]
    if not invalid:
        return ""
    least = min(invalid, key=lambda probe: probe.rate)
    return (
        f"the generator did not keep up in {len(invalid)} of {len(surface.probes)} probes (*), the slowest "
        f"at {per_second(least.rate)} requests/s; more --processes, or cores of its own, help"
    )
