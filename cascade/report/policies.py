"""The policies of a report: fitted here, or read from files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cascade.fitting.fit import FitSettings, fit
from cascade.policy import Policy
from cascade.scores_file import ScoresFile
from cascade.stages import Stages

FIXED = ("first", "full")
OURS, PAPER = "window", "paper"


@dataclass(frozen=True)
class Named:
    """A policy by the name that the report gives it."""

    name: str
    policy: Policy

    @property
    def fitted_families(self) -> tuple[str, ...]:
        """OOD families that it was fitted on; a file's evidence may hold anything."""
        listed = self.policy.evidence.get("ood_families")
        return tuple(map(str, listed)) if isinstance(listed, list | tuple) else ()

    @property
    def is_certified(self) -> bool:
        return self.policy.evidence.get("certified") is True

    @property
    def is_fixed(self) -> bool:
        """Whether nothing decides: every row leaves at the first stage, or every row goes through."""
        return self.policy.kind in FIXED


def settings_of(name: str, asked: FitSettings) -> FitSettings:
    """How the report's own policies are fitted."""
    if name == PAPER:
        return replace(asked, kind="window", method="paper")
    return replace(asked, kind=name)


def fit_policies(scores: ScoresFile, stages: Stages, asked: FitSettings) -> list[Named]:
    """The two ends, the two rules to beat, and ours."""
    names = ("first", "threshold", PAPER, OURS, "full")
    return [Named(name, fit(scores, stages, settings_of(name, asked))) for name in names]


def beside_given(
    given: Sequence[Named], scores: ScoresFile, stages: Stages, asked: FitSettings
) -> list[Named]:
    """Policies from files between the two ends, which are fitted here where no file brings them."""
    kinds = {named.policy.kind for named in given}
    ends = {
        kind: [] if kind in kinds else [Named(kind, fit(scores, stages, settings_of(kind, asked)))]
        for kind in FIXED
    }
    return _distinct([*ends["first"], *given, *ends["full"]])


def _distinct(policies: Sequence[Named]) -> list[Named]:
    """Names that stand twice get a number."""
    seen: dict[str, int] = {}
    made = []
    for named in policies:
        seen[named.name] = number = seen.get(named.name, 0) + 1
        made.append(named if number == 1 else Named(f"{named.name} ({number})", named.policy))
    return made
