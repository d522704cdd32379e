"""The scores of the rows that reach each stage, and what windows and thresholds cut out of them."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cascade.objectives.class_decision import ClassDecision
from cascade.policy import Policy
from cascade.replay import stage_verdicts
from cascade.report.judged import Judged
from cascade.report.plot_style import (
    BAD,
    INK,
    PALE,
    STRANGE,
    WIDTH,
    label,
    legend_above,
    new_figure,
    short,
)
from cascade.report.results import Results
from cascade.report.wording import percent
from cascade.scores import Array
from cascade.window import NOTHING, Mask

BINS = 40
# Bars beyond so many times the third-highest one are cut off, and say how high they are.
TOO_HIGH = 2.0
ROOM = 1.25
# Among fewer bars none stands out.
LEAST_BARS = 6
# What lies beyond these shares of the rows is drawn in the bins at the ends.
RANGE = (0.005, 0.995)
PANEL_INCHES, ROW_INCHES = 3.3, 2.9
FORWARDED = "#e69f00"


@dataclass(frozen=True)
class Shown:
    """The rows that reach a stage: their scores, whether the prediction there is right, and OOD scores."""

    score: Array
    is_right: Mask
    strange: Array


def draw_scores(results: Results) -> Figure | None:
    """None where no policy decides."""
    deciding = [figures.judged for figures in results.deciding]
    if not deciding:
        return None
    num_stages = deciding[0].num_stages
    figure, grid = new_figure(
        0.7 + ROW_INCHES * len(deciding),
        num_stages,
        len(deciding),
        width=max(WIDTH, PANEL_INCHES * num_stages),
    )
    for judged, panels in zip(deciding, grid, strict=True):
        _draw_policy(panels, judged, results)
    legend_above(figure, [panel for panels in grid for panel in panels])
    return figure


def _draw_policy(panels: list[Axes], judged: Judged, results: Results) -> None:
    shown = shown_of(judged, results)
    everything = np.concatenate([part for stage in shown for part in (stage.score, stage.strange)])
    edges = _edges(everything)
    for stage, (axes, rows) in enumerate(zip(panels, shown, strict=True)):
        _draw_bars(axes, rows, edges, results)
        _draw_rule(axes, judged.policy, stage, edges)
        _draw_final(axes, judged.policy, stage, edges, _final_name(results))
        title = f"{short(judged.name)}, stage {stage + 1}"
        label(
            axes,
            title=title,
            x=_x_label(judged, stage),
            y="rows" if stage == 0 else "",
        )
        axes.title.set_fontsize(10)
        axes.set_xlim(edges[0], edges[-1])


def shown_of(judged: Judged, results: Results) -> list[Shown]:
    """Per stage, the rows in distribution that reach it, and the OOD ones."""
    scores, truth = results.parts.judge, results.parts.judge.labels
    verdicts = stage_verdicts(judged.policy, results.yardstick.stages, scores, keep_probabilities=False)
    shown = []
    for stage, verdict in enumerate(verdicts):
        if isinstance(results.objective, ClassDecision):
            right = results.yardstick.outcomes(verdict.score, verdict.label) >= 0.5
        else:
            right = verdict.label == truth
        rows = judged.inside.reached(stage)
        strange = np.empty(0)
        if judged.outside is not None:
            strange = judged.outside.stage_scores[stage, judged.outside.reached(stage)]
        shown.append(Shown(verdict.score[rows], right[rows], strange))
    return shown


def _edges(scores: Array) -> Array:
    low, high = (float(value) for value in np.quantile(scores, RANGE))
    return np.linspace(low, high if high > low else low + 1.0, BINS + 1)


def _draw_bars(axes: Axes, rows: Shown, edges: Array, results: Results) -> None:
    score = np.clip(rows.score, edges[0], edges[-1])
    wrong, right = score[~rows.is_right], score[rows.is_right]
    names = _names(results)
    axes.hist([wrong, right], edges.tolist(), stacked=True, color=[BAD, PALE], label=list(names))
    heights = np.histogram(score, edges)[0].astype(np.float64)
    if len(rows.strange):
        strange = np.clip(rows.strange, edges[0], edges[-1])
        outline, _, _ = axes.hist(
            strange, edges.tolist(), histtype="step", color=STRANGE, linewidth=2, label="out of distribution"
        )
        heights = np.maximum(heights, np.asarray(outline))
    if not heights.any():
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no row reaches this stage", transform=axes.transAxes, ha="center", color=INK)
        return
    _cut_off(axes, heights, edges)


def _names(results: Results) -> tuple[str, str]:
    if isinstance(results.objective, ClassDecision):
        if results.objective.costs is None:
            return "decided otherwise than full", "decided as full"
        return "decided at a cost", "decided at no cost"
    return "wrong at this stage", "right at this stage"


def _cut_off(axes: Axes, heights: Array, edges: Array) -> None:
    """One bar at the end of the scores would flatten all the others."""
    top, filled = float(heights.max()), np.sort(heights[heights > 0])
    usual = float(filled[-3]) if len(filled) >= LEAST_BARS else top
    if top <= TOO_HIGH * usual:
        axes.set_ylim(0, max(top, 1.0) * ROOM)
        return
    axes.set_ylim(0, usual * ROOM)
    high = np.flatnonzero(heights > usual * ROOM)
    texts = " and ".join(f"{heights[bar]:,.0f}" for bar in high)
    axes.annotate(
        f"↑ {texts}",
        ((edges[high[0]] + edges[high[0] + 1]) / 2, 1.0),
        xycoords=("data", "axes fraction"),
        ha="right" if high[0] > BINS / 2 else "left",
        va="top",
        fontsize=9,
        color=INK,
        zorder=8,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
    )


def _draw_rule(axes: Axes, policy: Policy, stage: int, edges: Array) -> None:
    """What is forwarded: shaded behind the bars, and edged above them."""
    bounds = _forwarded(policy, stage)
    if bounds is None:
        return
    low, high = np.clip(bounds, edges[0], edges[-1])
    axes.axvspan(low, high, color=FORWARDED, alpha=0.25, zorder=0, label="forwarded")
    for edge, bound in ((low, bounds[0]), (high, bounds[1])):
        if math.isfinite(bound):
            axes.axvline(edge, color=FORWARDED, linewidth=1.8, zorder=5)


def _forwarded(policy: Policy, stage: int) -> tuple[float, float] | None:
    if stage == policy.num_stages - 1:
        return None
    if policy.kind == "window" and policy.windows[stage] != NOTHING:
        return policy.windows[stage].lo, policy.windows[stage].hi
    if policy.kind == "threshold" and policy.thresholds[stage] != -math.inf:
        return -math.inf, policy.thresholds[stage]
    return None


def _draw_final(axes: Axes, policy: Policy, stage: int, edges: Array, name: str) -> None:
    above = policy.accept_above[stage] if policy.accept_above else -math.inf
    if math.isfinite(above):
        axes.axvline(
            float(np.clip(above, edges[0], edges[-1])),
            color=INK,
            linewidth=2,
            linestyle=(0, (4, 2)),
            zorder=6,
            label=name,
        )


def _final_name(results: Results) -> str:
    if isinstance(results.objective, ClassDecision):
        return f"final threshold: class {results.objective.number} from here"
    return "final threshold: accepted from here"


def _x_label(judged: Judged, stage: int) -> str:
    """The score, and what the picture cannot show."""
    policy = judged.policy
    reaching = int(judged.inside.reached(stage).sum())
    text = f"score ({policy.score})\n{reaching:,} rows"
    if stage < policy.num_stages - 1:
        on = judged.inside.reached(stage + 1).sum() / max(reaching, 1)
        text += f", {percent(float(on))} of them forwarded"
        for tie in policy.ties[stage] if policy.ties else ():
            text += f"\nat {tie.score:g} a coin forwards {percent(tie.share, 0)}"
    above = policy.accept_above[stage] if policy.accept_above else -math.inf
    if math.isinf(above):
        text += "\nall rows accepted" if above < 0 else "\nno row accepted"
    return text
