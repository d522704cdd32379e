"""The run over time: rates, where rows left, and the tail of the latency, with what disturbed it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cascade.report.plot_style import BAD, FAINT, INK
from loadtest.figures.results import CaseResult, Results
from loadtest.figures.timeline import Timeline, timeline
from loadtest.measure.campaign import case_id
from loadtest.report.plot_style import (
    contender_colours,
    label,
    legend_above,
    log_axis,
    new_figure,
    percent_axis,
    stage_colours,
)
from loadtest.traffic.difficulty import HardBursts

OFFERED = "#2f9e8f"
SHED = "#dd6b20"
BURST = "#f6e3b4"
EMPTY_LIMITS_MS = (1.0, 1000.0)
# More panels side by side could not be read.
MOST_COLUMNS = 3

Array = NDArray[np.float64]


def draw_timeline(results: Results) -> Figure:
    """A column for each protocol or server: the judged contender's rates and exits, and everyone's p99."""
    campaign = results.campaign
    overs = campaign.overs[:MOST_COLUMNS]
    has_exits = results.judged.case.cascade is not None
    num_rows = 3 if has_exits else 2
    figure, panels = new_figure(2.3 * num_rows, len(overs), num_rows, share_x=True)
    for column, over in enumerate(overs):
        _draw_column(panels[column :: len(overs)], results, over)
    for row in range(num_rows):
        _share_limits(panels[row * len(overs) : (row + 1) * len(overs)])
    _shade_bursts(panels, campaign.config.load.hard_bursts, campaign.offered_s)
    _mark_blocks(panels, results)
    legend_above(figure, panels)
    return figure


def _draw_column(panels: Sequence[Axes], results: Results, over: str) -> None:
    cases = [case for case in results.cases if case.over == over]
    judged = next((case for case in cases if case.contender == results.judged.contender), cases[0])
    lines = {case.contender: _timeline(results, case) for case in cases}
    rate, *middle, tail = panels
    _draw_rates(rate, lines[judged.contender])
    label(rate, title=f"{judged.contender} over {over}")
    for axes in middle:
        _draw_exits(axes, lines[judged.contender])
    _draw_tails(tail, results, lines)
    if over == results.campaign.overs[0]:
        label(rate, title=f"{judged.contender} over {over}", y="requests/s")
        for axes in middle:
            axes.set_ylabel("leave at", fontsize=10, color=INK)
        tail.set_ylabel("latency, ms (log)", fontsize=10, color=INK)
    tail.set_xlabel("seconds of the schedule", fontsize=10, color=INK)


def _timeline(results: Results, case: CaseResult) -> Timeline:
    campaign = results.campaign
    samples = campaign.loads[case_id(case.case)].samples
    return timeline(samples, campaign.offered_s, campaign.block_s, case.case.served.num_stages)


def _draw_rates(axes: Axes, line: Timeline) -> None:
    offered, answered = line.offered.astype(np.float64), line.answered.astype(np.float64)
    _draw_stairs(axes, answered, line, colour=INK, width=1.8, text="answered")
    _draw_stairs(axes, offered, line, colour=OFFERED, width=1.4, text="offered", style="--")
    axes.set_ylim(bottom=0)


def _draw_exits(axes: Axes, line: Timeline) -> None:
    below = np.zeros(line.exits.shape[1])
    for stage, colour in enumerate(stage_colours(len(line.exits)), 1):
        above = below + np.nan_to_num(line.exits[stage - 1])
        axes.stairs(above, line.edges_s, baseline=below, fill=True, color=colour, label=f"stage {stage}")
        below = above
    axes.set_ylim(0, 1)
    percent_axis(axes.yaxis)


def _draw_tails(axes: Axes, results: Results, lines: dict[str, Timeline]) -> None:
    """The judged contender's p50 too, and over the others."""
    colours, judged = contender_colours(results.campaign.contenders), results.judged.contender
    for name in sorted(lines, key=lambda name: name == judged):
        line, width = lines[name], 2.2 if name == judged else 1.2
        _draw_stairs(axes, line.p99_ms, line, colour=colours[name], width=width, text=f"p99, {name}")
        if name == judged:
            _draw_stairs(
                axes, line.p50_ms, line, colour=colours[name], width=1.4, text=f"p50, {name}", style=":"
            )
    axes.set_yscale("log")
    log_axis(axes.yaxis)
    known = [value for line in lines.values() for value in line.p99_ms if np.isfinite(value)]
    if not known:
        axes.set_ylim(EMPTY_LIMITS_MS)
    _mark_failures(axes, lines)


def _mark_failures(axes: Axes, lines: dict[str, Timeline]) -> None:
    """Along the top: bins in which a request of any contender was shed, or failed."""
    for name, marker, colour, height in (("shed", "v", SHED, 0.97), ("failed", "X", BAD, 0.90)):
        counts = np.sum([getattr(line, f"num_{name}") for line in lines.values()], axis=0)
        edges_s = next(iter(lines.values())).edges_s
        middles_s = (edges_s[:-1] + edges_s[1:]) / 2
        if counts.any():
            where = middles_s[counts > 0]
            heights = np.full(len(where), height)
            transform = axes.get_xaxis_transform()
            axes.plot(where, heights, marker, color=colour, label=f"requests {name}", transform=transform)


def _draw_stairs(
    axes: Axes, values: Array, line: Timeline, *, colour: str, width: float, text: str, style: str = "-"
) -> None:
    """A gap where there was no request, or no answer."""
    known = np.where(np.isfinite(values), values, np.nan)
    axes.stairs(
        known, line.edges_s, baseline=None, color=colour, linewidth=width, linestyle=style, label=text
    )


def _share_limits(panels: Sequence[Axes]) -> None:
    low = min(axes.get_ylim()[0] for axes in panels)
    high = max(axes.get_ylim()[1] for axes in panels)
    for number, axes in enumerate(panels):
        axes.set_ylim(low, high)
        if number:
            axes.tick_params(labelleft=False)


def _shade_bursts(panels: Sequence[Axes], bursts: HardBursts | None, offered_s: float) -> None:
    for axes in panels:
        axes.set_xlim(0, offered_s)
        axes.margins(x=0)
        for number, (begin, end) in enumerate(burst_spans(bursts, offered_s)):
            axes.axvspan(begin, end, color=BURST, zorder=0, label="" if number else "all rows hard")


def _mark_blocks(panels: Sequence[Axes], results: Results) -> None:
    """Where one turn ends and the next begins, perhaps minutes later."""
    campaign = results.campaign
    edges_s = np.linspace(0.0, campaign.offered_s, campaign.num_blocks + 1)[1:-1].tolist()
    for axes in panels:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for number, edge in enumerate(edges_s):
            text = "" if number else "next turn"
            axes.axvline(edge, color=FAINT, linewidth=1.1, linestyle=(0, (1, 2)), zorder=5, label=text)


def burst_spans(bursts: HardBursts | None, offered_s: float) -> list[tuple[float, float]]:
    if bursts is None:
        return []
    ends = np.arange(bursts.period_s, offered_s + bursts.period_s, bursts.period_s)
    spans = [(float(end - bursts.on_s), float(min(end, offered_s))) for end in ends]
    return [(begin, end) for begin, end in spans if begin < end]
