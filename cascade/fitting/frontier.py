"""From a value to the least budget: the cheapest policy that reaches what is asked."""

import math
from dataclasses import replace

from cascade.errors import FitError
from cascade.fitting.choice import PAPER, options_for
from cascade.fitting.fit import Bench, FitSettings, fit
from cascade.policy import Policy
from cascade.scores_file import ScoresFile
from cascade.stages import Stages

BISECTIONS = 7
"""Seven halvings place the budget within 1% of the range between stage 1 and the full cascade."""


def cheapest(scores: ScoresFile, stages: Stages, settings: FitSettings, value: float) -> Policy:
    """The policy of the least budget whose value, on held-out choosing rows, reaches `value`.

    Larger budgets are taken to reach more. FitError where even the full cascade falls short.
    """
    if settings.kind != "window" or len(stages) == 1:
        raise FitError("a value can be asked of a window over two stages or more")
    costs = Bench(scores, stages, settings).costs
    full = sum(costs) / costs[0]
    reached = _held_out_value(scores, stages, settings, full)
    if not _reaches(reached, value, settings):
        raise FitError(f"{settings.objective}: even the full cascade reaches {reached:.4g}, not {value:g}")
    short, enough = 1.0, full
    if _reaches(_held_out_value(scores, stages, settings, short), value, settings):
        enough = short
    for _ in range(BISECTIONS if enough > short else 0):
        middle = (short + enough) / 2
        if _reaches(_held_out_value(scores, stages, settings, middle), value, settings):
            enough = middle
        else:
            short = middle
    return fit(scores, stages, _with_multiple(settings, enough))


def _with_multiple(settings: FitSettings, multiple: float) -> FitSettings:
    """Rounded up, since a budget below stage 1's cost is none."""
    return replace(settings, budget=f"{math.ceil(multiple * 1e4) / 1e4:.4f}x")


def _held_out_value(scores: ScoresFile, stages: Stages, settings: FitSettings, multiple: float) -> float:
    bench = Bench(scores, stages, _with_multiple(settings, multiple))
    options = [PAPER] if settings.method == "paper" else options_for(bench.objective)
    return bench.compared(options).value


def _reaches(reached: float, value: float, settings: FitSettings) -> bool:
    is_lower_better = settings.parsed_objective.is_lower_better
    return reached <= value if is_lower_better else reached >= value
