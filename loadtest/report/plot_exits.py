"""Where rows leave, and whether they are accepted there."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from cascade.report.plot_style import FAINT, INK
from loadtest.figures.results import Results
from loadtest.measure.campaign import case_id
from loadtest.report.plot_style import ink_on, label, legend_above, new_figure, percent_axis, stage_colours
from loadtest.wire.rows import Rows

# Narrower bars have no room for their figure.
LEAST_LABELLED = 0.06
HATCH = "////"


def draw_exits(results: Results) -> Figure | None:
    """None where every model is whole, so that all rows leave at once."""
    campaign = results.campaign
    if campaign.cascade is None:
        return None
    censuses = {name: campaign.censuses[case_id(campaign.of(name))] for name in campaign.contenders}
    groups = [("Test rows", {name: census.rows for name, census in censuses.items()})]
    if campaign.ood is not None:
        groups.append(("Out-of-distribution rows", {n: c.ood for n, c in censuses.items() if c.ood}))
    figure, panels = new_figure(1.5 + 0.5 * len(censuses), len(groups), share_y=True)
    num_stages = max(case.served.num_stages for case in campaign.cases)
    for axes, (title, rows) in zip(panels, groups, strict=True):
        _draw_bars(axes, rows, num_stages)
        label(axes, title=title, x="share of rows")
        percent_axis(axes.xaxis)
    panels[0].invert_yaxis()
    # An empty bar, for the legend alone.
    panels[0].barh([0], [0], color="white", hatch=HATCH, edgecolor=FAINT, label="rejected")
    legend_above(figure, panels[:1])
    return figure


def _draw_bars(axes: Axes, rows: dict[str, Rows], num_stages: int) -> None:
    position = np.arange(len(rows))
    left = np.zeros(len(rows))
    for stage, colour in enumerate(stage_colours(num_stages), 1):
        for is_accepted in (True, False):
            shares = np.array(
                [((r.exit_stage == stage) & (r.accepted == is_accepted)).mean() for r in rows.values()]
            )
            bars = _draw_part(axes, position, left, shares, colour, is_accepted=is_accepted)
            bars.set_label(f"stage {stage}" if is_accepted else "")
            left += shares
    axes.set_yticks(position, list(rows), parse_math=False)
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="y")


def _draw_part(
    axes: Axes, position: np.ndarray, left: np.ndarray, shares: np.ndarray, colour: str, *, is_accepted: bool
) -> BarContainer:
    bars = axes.barh(
        position,
        shares,
        left=left,
        height=0.62,
        color=colour if is_accepted else "white",
        hatch="" if is_accepted else HATCH,
        edgecolor="white" if is_accepted else colour,
        linewidth=np.where(shares > 0, 1.0, 0.0),
    )
    texts = [f"{share:.0%}" if share >= LEAST_LABELLED else "" for share in shares]
    for text in axes.bar_label(bars, texts, label_type="center", fontsize=9.5):
        text.set_color(ink_on(colour) if is_accepted else INK)
        if not is_accepted:
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.2})
    return bars
