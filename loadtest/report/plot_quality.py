"""Pictures of quality: against cost, and against coverage."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Transform, offset_copy

from cascade.intervals import Estimate
from cascade.metrics import risk_coverage
from cascade.report.plot_style import FAINT
from loadtest.figures.results import Results
from loadtest.measure.campaign import case_id
from loadtest.report.plot_style import (
    contender_colours,
    contender_markers,
    label,
    legend_above,
    new_figure,
    percent_axis,
)

PANELS = (
    ("accuracy", "Accuracy, all rows"),
    ("coverage", "Coverage: rows accepted"),
    ("risk", "Risk: errors among accepted"),
)
# The curve's beginning rests on a handful of rows and jumps about.
LEAST_COVERAGE = 0.05
# Policies nearer than this share of the span of costs would hide each other's intervals.
NEAR = 0.06
# Typographic points between neighbours, and how far a marker may stand from its cost.
STEP_POINTS = 8.0
FARTHEST_POINTS = 6.0
MARGIN = 0.12


def draw_cost_and_quality(results: Results) -> Figure | None:
    """None where nothing driven has a cost. Plain models have none, and are left out."""
    names = results.campaign.contenders
    costs = {name: cost for name in names if (cost := results.of(name).quality.cost) is not None}
    if not costs:
        return None
    dodges = dodges_points(costs)
    figure, panels = new_figure(3.9, len(PANELS))
    for axes, (figure_name, title) in zip(panels, PANELS, strict=True):
        shares: dict[str, Estimate] = {n: getattr(results.of(n).quality, figure_name) for n in costs}
        known = {name: share for name, share in shares.items() if share.is_known}
        for name, share in known.items():
            shift = offset_copy(axes.transData, figure, x=dodges[name], units="points")
            _draw_point(axes, name, names, costs[name], share, shift)
        label(axes, title=title, x="cost (multiple of stage 1)")
        # Dodged marks are no data to matplotlib, which so can't find the limits.
        axes.set_xlim(*_limits(list(costs.values())))
        axes.set_ylim(*_limits([end for share in known.values() for end in (share.low, share.high)]))
        percent_axis(axes.yaxis)
    legend_above(figure, panels)
    return figure


def _draw_point(
    axes: Axes, name: str, names: Sequence[str], cost: float, share: Estimate, shift: Transform
) -> None:
    axes.errorbar(
        cost,
        share.value,
        yerr=[[share.value - share.low], [share.high - share.value]],
        marker=contender_markers(names)[name],
        color=contender_colours(names)[name],
        label=name,
        markersize=9,
        linestyle="none",
        elinewidth=1.6,
        capsize=4,
        transform=shift,
    )


def dodges_points(costs: dict[str, float]) -> dict[str, float]:
    """How far beside its cost each policy is drawn, in typographic points: neighbours are spread evenly
    about their costs, and the others stand where they belong."""
    near = NEAR * (max(costs.values()) - min(costs.values()))
    ordered = sorted(costs, key=lambda policy: costs[policy])
    clusters = [[ordered[0]]]
    for policy in ordered[1:]:
        if costs[policy] - costs[clusters[-1][-1]] <= near:
            clusters[-1].append(policy)
        else:
            clusters.append([policy])
    return {policy: dodge for cluster in clusters for policy, dodge in _spread(cluster).items()}


def _spread(cluster: list[str]) -> dict[str, float]:
    half = min(FARTHEST_POINTS, STEP_POINTS * (len(cluster) - 1) / 2)
    return dict(zip(cluster, np.linspace(-half, half, len(cluster)).tolist(), strict=True))


def _limits(values: list[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = MARGIN * (high - low) or MARGIN
    return low - margin, high + margin


def draw_risk_coverage(results: Results) -> Figure | None:
    """None where nothing driven tells scores."""
    campaign = results.campaign
    names = [case.contender for case in map(results.of, campaign.contenders) if case.case.cascade]
    if not names:
        return None
    figure, (axes,) = new_figure(4.3)
    for name in names:
        _draw_curve(axes, results, name)
    axes.plot([], [], marker="o", color=FAINT, linestyle="none", label="deployed threshold")
    label(axes, x="coverage", y="risk")
    axes.set_ylim(bottom=0)
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    legend_above(figure, [axes])
    return figure


def _draw_curve(axes: Axes, results: Results, name: str) -> None:
    campaign, case = results.campaign, results.of(name)
    colour, marker = (of(campaign.contenders)[name] for of in (contender_colours, contender_markers))
    rows = campaign.censuses[case_id(case.case)].rows
    curve = risk_coverage(rows.score.astype(np.float64), rows.label == campaign.samples.labels)
    shown = curve.coverage >= LEAST_COVERAGE
    axes.plot(curve.coverage[shown], curve.risk[shown], color=colour, linewidth=2, label=name)
    if case.quality.risk.is_known:
        axes.plot(
            case.quality.coverage.value,
            case.quality.risk.value,
            marker=marker,
            color=colour,
            markersize=10,
            markeredgecolor="white",
            zorder=5,
        )
