"""The tables of the page, as HTML."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from cascade.fitting.budget import stage_costs
from cascade.intervals import Estimate
from cascade.objectives.class_decision import ClassDecision
from cascade.objectives.objective import Objective
from cascade.report.figures import Figures
from cascade.report.plot_style import policy_colours
from cascade.report.results import Results
from cascade.report.wording import (
    NONE,
    count,
    interval_text,
    multiple,
    percent,
    points,
    value_name,
    value_text,
)
from cascade.verdict import TargetCheck

Column = tuple[str, Callable[[Figures], str]]
MARKS = {
    TargetCheck.MET: "✓ ",
    TargetCheck.NEARLY_MET: "≈ ",
    TargetCheck.NEARLY_MISSED: "≈ ",
    TargetCheck.MISSED: "✗ ",
    TargetCheck.NONE: "",
}


def figures_table(results: Results) -> str:
    colours = policy_colours(results.names)
    columns = columns_for(results)
    lines = []
    for figures in results.figures:
        dot = f'<span class="dot" style="background:{colours[figures.name]}"></span>'
        cells = [f'<td class="text name">{dot}{escape(figures.name)}</td>']
        cells += [f"<td>{cell(figures)}</td>" for _, cell in columns]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return table(["policy"], [name for name, _ in columns], lines)


def columns_for(results: Results) -> list[Column]:
    objective = results.objective
    is_decision = isinstance(objective, ClassDecision)
    coverage = f"decided as class {objective.number}" if isinstance(objective, ClassDecision) else "coverage"
    columns: list[Column] = [("accuracy", _share("accuracy")), (coverage, _share("coverage"))]
    if not is_decision:
        columns.append(("risk", _share("risk", unknown="none accepted")))
    first = results.figures[0].estimates
    if "risk_with_ood" in first:
        columns.append(("risk with OOD", _share("risk_with_ood", unknown="none accepted")))
    if "ood_accepted" in first:
        name = f"OOD decided as class {objective.number}" if isinstance(objective, ClassDecision) else ""
        columns.append((name or "OOD accepted", _share("ood_accepted")))
    columns.append((value_name(objective), lambda figures: _value(objective, figures.estimates["value"])))
    columns.append(("cost, × stage 1", lambda figures: _cost(figures.estimates["cost"])))
    columns.append(("exits per stage, %", lambda figures: exits(figures.judged.exits())))
    if not is_decision:
        columns.append(("AURC", lambda figures: _aurc(figures.estimates["aurc"])))
    if any(figures.verdict is not TargetCheck.NONE for figures in results.figures):
        columns.append(("target", lambda figures: _target(figures.verdict)))
    return columns


def _share(key: str, unknown: str = NONE) -> Callable[[Figures], str]:
    def cell(figures: Figures) -> str:
        estimate = figures.estimates[key]
        if not estimate.is_known:
            return unknown
        return percent(estimate.value) + _span(f"{estimate.low * 100:.1f} to {estimate.high * 100:.1f}")

    return cell


def _value(objective: Objective, estimate: Estimate) -> str:
    return value_text(objective, estimate.value) + _span(interval_text(objective, estimate))


def _cost(estimate: Estimate) -> str:
    return f"{estimate.value:.3f}" + _span(f"{estimate.low:.3f} to {estimate.high:.3f}")


def _aurc(estimate: Estimate) -> str:
    return f"{estimate.value:.4f}" + _span(f"{estimate.low:.4f} to {estimate.high:.4f}")


def _target(verdict: TargetCheck) -> str:
    word, _, rest = verdict.value.partition(", ")
    return MARKS[verdict] + word + _span(rest)


def _span(text: str) -> str:
    return f'<span class="interval">{text}</span>' if text else ""


def exits(shares: Sequence[float]) -> str:
    return " / ".join(f"{share * 100:.1f}" for share in shares)


def members_table(results: Results) -> str:
    """Each member with its MACs, and what a stage adds to the cost of a row that reaches it."""
    scores, stages = results.parts.judge, results.yardstick.stages
    costs = stage_costs(scores.macs, scores, stages)
    lines = []
    for number, stage in enumerate(stages):
        for member in stage:
            cost = multiple(costs[number] / costs[0]) if member == stage[0] else ""
            lines.append(
                f"<tr{' class=begins' if member == stage[0] and number else ''}>"
                f'<td class="text">{number + 1 if member == stage[0] else ""}</td>'
                f'<td class="text">{escape(member)}</td>'
                f"<td>{count(scores.macs[scores.member(member)])}</td><td>{cost}</td></tr>"
            )
    return table(["stage", "member"], ["MACs per row", "cost of the stage, × stage 1"], lines)


def candidates_table(evidence: Mapping[str, Any]) -> str:
    """What cross-validation compared, best first; empty where nothing was chosen."""
    candidates = sorted(candidates_of(evidence).items(), key=lambda item: -item[1][0])
    chosen = evidence.get("chosen")
    lines = []
    for name, (gain, error) in candidates:
        is_chosen = name == chosen
        text = f"<b>{escape(name)}</b>" if is_chosen else escape(name)
        lines.append(
            f'<tr><td class="text">{text}</td>'
            f"<td>{points(gain)}</td><td>{points(error, signed=False)}</td>"
            f"<td>{'✓ chosen' if is_chosen else ''}</td></tr>"
        )
    if not lines:
        return ""
    heads = ["gain over the paper's rule, points", "standard error", ""]
    return table(["way to fit"], heads, lines)


def candidates_of(evidence: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Gain and standard error per option. A file's evidence may hold anything else."""
    listed = evidence.get("gain_over_paper")
    if not isinstance(listed, dict):
        return {}
    return {
        str(name): (float(pair[0]), float(pair[1]))
        for name, pair in listed.items()
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, int | float) for part in pair)
    }


def table(texts: Sequence[str], numbers: Sequence[str], lines: Sequence[str]) -> str:
    head = "".join(f'<th class="text">{escape(name)}</th>' for name in texts)
    head += "".join(f"<th>{escape(name)}</th>" for name in numbers)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
