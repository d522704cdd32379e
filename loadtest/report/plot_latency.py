"""The distribution of latency, drawn so that its tail can be read."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from loadtest.figures.results import Results
from loadtest.report.plot_style import label, legend_above, new_figure, policy_colours

EMPTY_LIMITS_MS = (1.0, 1000.0)
QUANTILES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)


def draw_latency(results: Results) -> Figure:
    campaign = results.campaign
    colours = policy_colours(campaign.policies)
    figure, panels = new_figure(4.3, len(campaign.protocols), share_y=True)
    for axes, protocol in zip(panels, campaign.protocols, strict=True):
        for policy in campaign.policies:
            latency_ms = np.sort(campaign.loads[policy, protocol].samples.latency_ms)
            quantile = np.arange(len(latency_ms)) / len(latency_ms)
            # Requests without an answer come last, at infinity: the curve ends where they begin.
            is_answered = np.isfinite(latency_ms)
            axes.plot(
                _nines(quantile[is_answered]),
                latency_ms[is_answered],
                color=colours[policy],
                linewidth=2,
                label=policy,
                drawstyle="steps-post",
            )
        _scale(axes, len(campaign.schedule))
        label(axes, title=f"over {protocol}", x="percentile of requests")
    panels[0].set_ylabel("latency, ms (log)")
    if not any(np.isfinite(load.samples.latency_ms).any() for load in campaign.loads.values()):
        # Without an answer there is nothing that a logarithmic axis could take its limits from.
        panels[0].set_ylim(EMPTY_LIMITS_MS)
    legend_above(figure, panels[0])
    return figure


def _nines(quantile: NDArray[np.float64]) -> NDArray[np.float64]:
    """One unit of the axis for each nine: 90%, 99%, 99.9%."""
    return np.asarray(-np.log10(1.0 - quantile))


def _scale(axes: Axes, num_requests: int) -> None:
    shown = [q for q in QUANTILES if q < 1.0 - 1.0 / num_requests or q == 0.0]
    axes.set_xticks(_nines(np.array(shown)), [f"{q * 100:g}%" for q in shown])
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
