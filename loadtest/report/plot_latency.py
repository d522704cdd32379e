"""The distribution of latency, drawn so that its tail can be read."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from loadtest.figures.results import Results
from loadtest.measure.campaign import case_id
from loadtest.report.plot_style import contender_colours, label, legend_above, log_axis, new_figure

EMPTY_LIMITS_MS = (1.0, 1000.0)
QUANTILES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)


def draw_latency(results: Results) -> Figure:
    campaign = results.campaign
    colours = contender_colours(campaign.contenders)
    figure, panels = new_figure(4.3, len(campaign.overs), share_y=True)
    for axes, over in zip(panels, campaign.overs, strict=True):
        for case in (case for case in results.cases if case.over == over):
            latency_ms = np.sort(campaign.loads[case_id(case.case)].samples.requests.latency_ms)
            quantile = np.arange(len(latency_ms)) / len(latency_ms)
            # Requests without an answer come last, at infinity: the curve ends where they begin.
            is_answered = np.isfinite(latency_ms)
            axes.plot(
                _nines(quantile[is_answered]),
                latency_ms[is_answered],
                color=colours[case.contender],
                linewidth=2,
                label=case.contender,
                drawstyle="steps-post",
            )
        _scale(axes, len(campaign.schedule))
        label(axes, title=f"over {over}", x="percentile of requests")
    panels[0].set_ylabel("latency, ms (log)")
    if not any(np.isfinite(load.samples.requests.latency_ms).any() for load in campaign.loads.values()):
        # Without an answer there is nothing that a logarithmic axis could take its limits from.
        panels[0].set_ylim(EMPTY_LIMITS_MS)
    legend_above(figure, panels)
    return figure


def _nines(quantile: NDArray[np.float64]) -> NDArray[np.float64]:
    """One unit of the axis for each nine: 90%, 99%, 99.9%."""
    return np.asarray(-np.log10(1.0 - quantile))


def _scale(axes: Axes, num_requests: int) -> None:
    shown = [q for q in QUANTILES if q < 1.0 - 1.0 / num_requests or q == 0.0]
    axes.set_xticks(_nines(np.array(shown)), [f"{q * 100:g}%" for q in shown])
    axes.set_yscale("log")
    log_axis(axes.yaxis)
