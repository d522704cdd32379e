"""All that a report shows, computed before anything is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cascade.errors import FitError, FormatError
from cascade.fitting.fit import FitSettings
from cascade.objectives.objective import Objective
from cascade.objectives.parse import parse_objective
from cascade.report.division import Parts, apart, divided
from cascade.report.figures import Figures, figures_of
from cascade.report.frontier import Line, frontier
from cascade.report.judged import Yardstick, check_question, yardstick_of
from cascade.report.policies import OURS, Named, beside_given, fit_policies
from cascade.report.resampling import resamples
from cascade.scores_file import ScoresFile
from cascade.stages import Stages


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a report is asked: `given` are policies from files, in place of those fitted here."""

    source: str
    scores: ScoresFile
    test: ScoresFile | None
    stages: Stages
    asked: FitSettings
    given: tuple[Named, ...] = ()

    def __post_init__(self) -> None:
        if len(self.stages) < 2:
            raise FitError("a report needs a cascade of two stages or more")
        for scores in (self.scores, self.test):
            if scores is not None and not scores.is_labelled:
                raise FormatError("labels are missing, and without them nothing can be judged")
        for named in self.given:
            check_question(named, self.objective)

    @property
    def objective(self) -> Objective:
        return parse_objective(self.asked.objective)

    @property
    def seen(self) -> frozenset[str] | None:
        """OOD families that the given policies were fitted on; None where none are given."""
        if not self.given:
            return None
        return frozenset(family for named in self.given for family in named.fitted_families)

    @property
    def is_fresh(self) -> bool:
        """Whether what is judged on was kept from all fitting, as far as can be known here."""
        return self.test is not None or not self.given


@dataclass(frozen=True, kw_only=True)
class Results:
    """Figures per policy, in the order of drawing, and the frontier's lines."""

    question: Question
    parts: Parts
    yardstick: Yardstick
    figures: tuple[Figures, ...]
    lines: tuple[Line, ...]

    @property
    def objective(self) -> Objective:
        return self.yardstick.objective

    @property
    def names(self) -> list[str]:
        return [figures.name for figures in self.figures]

    @property
    def main(self) -> Figures:
        """The policy that the report is about: ours, or the first that was given."""
        deciding = self.deciding
        return next((figures for figures in deciding if figures.name == OURS), (*deciding, *self.figures)[0])

    @property
    def deciding(self) -> list[Figures]:
        """Policies that forward some rows and not others."""
        return [figures for figures in self.figures if not figures.judged.named.is_fixed]

    def of_kind(self, kind: str) -> Figures | None:
        return next((figures for figures in self.figures if figures.judged.policy.kind == kind), None)


def results_of(question: Question, progress: Callable[[str], None] = lambda _: None) -> Results:
    objective, asked = question.objective, question.asked
    if question.test is not None:
        parts = apart(question.scores, question.test, objective, question.seen)
    else:
        parts = divided(question.scores, objective, asked.seed, question.seen)
    yardstick = yardstick_of(parts.judge, question.stages, objective, asked.score)
    drawn = resamples(yardstick, asked.seed)
    progress(f"fitting on {parts.fit.num_rows:,} rows")
    figures = [figures_of(yardstick.judge(named), objective, drawn) for named in _policies(question, parts)]
    lines = frontier(parts.fit, yardstick, asked, drawn, progress)
    return Results(
        question=question, parts=parts, yardstick=yardstick, figures=tuple(figures), lines=tuple(lines)
    )


def _policies(question: Question, parts: Parts) -> Sequence[Named]:
    if question.given:
        return beside_given(question.given, parts.fit, question.stages, question.asked)
    return fit_policies(parts.fit, question.stages, question.asked)
