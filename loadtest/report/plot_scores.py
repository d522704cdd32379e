"""The scores after stage 1, and what windows and thresholds cut out of them."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cascade.policy import Policy
from cascade.window import NOTHING
from loadtest.figures.results import Results
from loadtest.report.plot_style import (
    BAD,
    PALE,
    STRANGE,
    label,
    legend_above,
    new_figure,
    policy_colours,
)

BINS = 40


def draw_stage1_scores(results: Results) -> Figure | None:
    """None where no policy of kind `first` was driven: the others tell the score of stage 1 only of the
    rows that exit there."""
    campaign = results.campaign
    name = next((p for p in campaign.policies if campaign.cascade.policies[p].kind == "first"), None)
    if name is None:
        return None
    census = campaign.censuses[name, campaign.protocols[0]]
    correct = census.rows.label == campaign.samples.labels
    scores = census.rows.score
    figure, (axes,) = new_figure(4.3)
    edges = _edges(scores if census.ood is None else np.concatenate([scores, census.ood.score]))
    axes.hist(scores[correct], edges.tolist(), color=PALE, label="correct at stage 1", log=True)
    _outline(axes, scores[~correct], edges, BAD, "wrong at stage 1")
    if census.ood is not None:
        _outline(axes, census.ood.score, edges, STRANGE, "out of distribution", linestyle=":")
    _draw_rules(axes, results, name, edges)
    label(
        axes, x=f"score at stage 1 ({campaign.cascade.policies[name].score}; higher = surer)", y="rows (log)"
    )
    axes.set_xlim(edges[0], edges[-1])
    legend_above(figure, axes, num_columns=3)
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


def _draw_rules(axes: Axes, results: Results, first: str, edges: NDArray[np.float64]) -> None:
    """Shade each window, and mark each threshold, that acts on this very score."""
    cascade = results.campaign.cascade
    colours = policy_colours(results.campaign.policies)
    for name in results.campaign.policies:
        policy = cascade.policies[name]
        if not _is_same_score(policy, cascade.policies[first]):
            continue
        if policy.windows and policy.windows[0] != NOTHING:
            low, high = np.clip([policy.windows[0].lo, policy.windows[0].hi], edges[0], edges[-1])
            _draw_window(axes, low, high, colours[name], f"{name}: forwarded")
        if policy.thresholds:
            cut = float(np.clip(policy.thresholds[0], edges[0], edges[-1]))
            axes.axvline(
                cut, color=colours[name], linestyle="--", linewidth=2, label=f"{name}: forwarded below"
            )


def _draw_window(axes: Axes, low: float, high: float, colour: str, text: str) -> None:
    """Shaded behind the bars, so that it hides none, and edged above them, so that none hides it."""
    axes.axvspan(low, high, color=colour, alpha=0.22, zorder=0, label=text)
    for edge in (low, high):
        axes.axvline(edge, color=colour, linewidth=1.6, zorder=5)


def _is_same_score(policy: Policy, first: Policy) -> bool:
    return (policy.score, policy.temperatures) == (first.score, first.temperatures)
