"""The scores after stage 1, and what windows and thresholds cut out of them."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cascade.policy import Policy
from cascade.report.plot_style import BAD, PALE, STRANGE
from cascade.window import NOTHING
from loadtest.case import Case
from loadtest.figures.results import Results
from loadtest.measure.campaign import Campaign, case_id
from loadtest.report.plot_style import contender_colours, label, legend_above, new_figure

BINS = 40


def draw_stage1_scores(results: Results) -> Figure | None:
    """None where no policy of kind `first` was driven: the others tell the score of stage 1 only of the
    rows that exit there."""
    campaign = results.campaign
    case = next((case for case in campaign.cases if case.kind == "first"), None)
    if case is None:
        return None
    census = campaign.censuses[case_id(case)]
    correct = census.rows.label == campaign.samples.labels
    scores = census.rows.score
    figure, (axes,) = new_figure(4.3)
    edges = _edges(scores if census.ood is None else np.concatenate([scores, census.ood.score]))
    axes.hist(scores[correct], edges.tolist(), color=PALE, label="correct at stage 1", log=True)
    _outline(axes, scores[~correct], edges, BAD, "wrong at stage 1")
    if census.ood is not None:
        _outline(axes, census.ood.score, edges, STRANGE, "out of distribution", linestyle=":")
    _draw_rules(axes, campaign, case, edges)
    label(axes, x=f"score at stage 1 ({policy_of(case).score}; higher = surer)", y="rows (log)")
    axes.set_xlim(edges[0], edges[-1])
    legend_above(figure, [axes], num_columns=3)
    return figure


def _outline(
    axes: Axes,
    scores: NDArray[np.float32],
    edges: NDArray[np.float64],
    colour: str,
    text: str,
    linestyle: str = "-",
) -> None:
    """Outlines, since filled histograms that overlap show colours that stand for nothing."""
    axes.hist(
        scores, edges.tolist(), color=colour, histtype="step", linewidth=2.2, linestyle=linestyle, label=text
    )


def _edges(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    low, high = float(scores.min()), float(scores.max())
    return np.linspace(low, high if high > low else low + 1.0, BINS + 1)


def _draw_rules(axes: Axes, campaign: Campaign, first: Case, edges: NDArray[np.float64]) -> None:
    """Shade each window, and mark each threshold, that acts on this very score of this model."""
    colours = contender_colours(campaign.contenders)
    for name in campaign.contenders:
        case = campaign.of(name)
        # What the server chooses itself may change with its gears.
        if case.served != first.served or case.policy is None:
            continue
        if _is_same_score(policy_of(case), policy_of(first)):
            _draw_rule(axes, policy_of(case), name, colours[name], edges)


def policy_of(case: Case) -> Policy:
    """Of a cascade's case: the one asked for, or the default."""
    assert case.cascade is not None
    return case.cascade.policies[case.policy or case.cascade.default_policy]


def _draw_rule(axes: Axes, policy: Policy, name: str, colour: str, edges: NDArray[np.float64]) -> None:
    if policy.windows and policy.windows[0] != NOTHING:
        low, high = np.clip([policy.windows[0].lo, policy.windows[0].hi], edges[0], edges[-1])
        _draw_window(axes, low, high, colour, f"{name}: forwarded")
    if policy.thresholds:
        cut = float(np.clip(policy.thresholds[0], edges[0], edges[-1]))
        axes.axvline(cut, color=colour, linestyle="--", linewidth=2, label=f"{name}: forwarded below")


def _draw_window(axes: Axes, low: float, high: float, colour: str, text: str) -> None:
    """Shaded behind the bars, so that it hides none, and edged above them, so that none hides it."""
    axes.axvspan(low, high, color=colour, alpha=0.22, zorder=0, label=text)
    for edge in (low, high):
        axes.axvline(edge, color=colour, linewidth=1.6, zorder=5)


def _is_same_score(policy: Policy, first: Policy) -> bool:
    return (policy.score, policy.temperatures) == (first.score, first.temperatures)
