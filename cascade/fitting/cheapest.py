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
    """The policy of the least budget whose value reaches `value` on held-out rows by a standard error.

    The margin is for having taken the best of many tries on the same rows. Larger budgets are taken to reach
    more. FitError where even the full cascade falls short.
    """
    if settings.kind != "window" or len(stages) == 1:
        raise FitError("a value can be asked of a window over two stages or more")
    if settings.certify is not None:
        raise FitError("a value to reach and a risk to certify do not go together: certify a budget instead")
    costs = Bench(scores, stages, settings).costs
    full = sum(costs) / costs[0]
    at_most = _reached(scores, stages, settings, full)
    if not _reaches(at_most, value, settings):
        text = f"{settings.objective}: even the full cascade reaches {at_most[0]:.4g} +- {at_most[1]:.2g} on"
        raise FitError(f"{text} held-out rows, not {value:g}")
    short, enough = 1.0, full
    if _reaches(_reached(scores, stages, settings, short), value, settings):
        enough = short
    for _ in range(BISECTIONS if enough > short else 0):
        middle = (short + enough) / 2
        if _reaches(_reached(scores, stages, settings, middle), value, settings):
            enough = middle
        else:
            short = middle
    return fit(scores, stages, _with_multiple(settings, enough))


def _with_multiple(settings: FitSettings, multiple: float) -> FitSettings:
    """Rounded up, since a budget below stage 1's cost is none."""
    return replace(settings, budget=f"{math.ceil(multiple * 1e4) / 1e4:.4f}x")


def _reached(
    scores: ScoresFile, stages: Stages, settings: FitSettings, multiple: float
) -> tuple[float, float]:
    """The value on held-out rows, and its standard error."""
    bench = Bench(scores, stages, _with_multiple(settings, multiple))
    options = [PAPER] if settings.method == "paper" else options_for(bench.objective)
    choice = bench.compared(options)
    return choice.value, choice.value_error


def _reaches(reached: tuple[float, float], value: float, settings: FitSettings) -> bool:
    held, error = reached
    is_lower_better = settings.parsed_objective.is_lower_better
    return held + error <= value if is_lower_better else held - error >= value
