"""Pictures of quality: against cost, and against coverage."""

import numpy as np
from matplotlib.figure import Figure

from cascade.metrics import risk_coverage
from loadtest.quality import Share
from loadtest.report.plot_style import (
    FAINT,
    label,
    legend_above,
    new_figure,
    percent_axis,
    policy_colours,
    policy_markers,
)
from loadtest.results import Results

PANELS = (
    ("accuracy", "Accuracy, all rows"),
    ("coverage", "Coverage: rows accepted"),
    ("risk", "Risk: errors among accepted"),
)
# The curve's beginning rests on a handful of rows and jumps about.
LEAST_COVERAGE = 0.05
# Of the span of costs.
APART = 0.035


def draw_cost_and_quality(results: Results) -> Figure:
    policies = results.campaign.policies
    colours, markers = policy_colours(policies), policy_markers(policies)
    places = side_by_side({policy: results.of(policy).quality.cost for policy in policies})
    figure, panels = new_figure(3.9, len(PANELS))
    for axes, (name, title) in zip(panels, PANELS, strict=True):
        for policy in policies:
            share: Share = getattr(results.of(policy).quality, name)
            if share.is_known:
                axes.errorbar(
                    places[policy],
                    share.value,
                    yerr=[[share.value - share.low], [share.high - share.value]],
                    marker=markers[policy],
                    color=colours[policy],
                    label=policy,
                    markersize=9,
                    linestyle="none",
                    elinewidth=1.6,
                    capsize=4,
                )
        label(axes, title=title, x="cost (multiple of stage 1)")
        axes.margins(x=0.12, y=0.12)
        percent_axis(axes.yaxis)
    legend_above(figure, panels[0])
    return figure


def side_by_side(costs: dict[str, float]) -> dict[str, float]:
    """Where to draw each cost: policies fitted to one budget would hide each other's intervals."""
    step = APART * (max(costs.values()) - min(costs.values()))
    places: dict[str, float] = {}
    for policy, cost in costs.items():
        taken = sum(abs(cost - costs[other]) < step for other in places)
        places[policy] = cost + taken * step
    return places


def draw_risk_coverage(results: Results) -> Figure:
    campaign = results.campaign
    colours, markers = policy_colours(campaign.policies), policy_markers(campaign.policies)
    figure, (axes,) = new_figure(4.3)
    for policy in campaign.policies:
        case = results.of(policy)
        rows = campaign.censuses[policy, case.protocol].rows
        curve = risk_coverage(rows.score.astype(np.float64), rows.label == campaign.samples.labels)
        shown = curve.coverage >= LEAST_COVERAGE
        axes.plot(curve.coverage[shown], curve.risk[shown], color=colours[policy], linewidth=2, label=policy)
        if case.quality.risk.is_known:
            axes.plot(
                case.quality.coverage.value,
                case.quality.risk.value,
                marker=markers[policy],
                color=colours[policy],
                markersize=10,
                markeredgecolor="white",
                zorder=5,
            )
    axes.plot([], [], marker="o", color=FAINT, linestyle="none", label="deployed threshold")
    label(axes, x="coverage", y="risk")
    axes.set_ylim(bottom=0)
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    legend_above(figure, axes)
    return figure
