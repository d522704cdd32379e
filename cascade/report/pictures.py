"""The pictures of a report, each with the sentence that explains it to someone new to the project."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from cascade.objectives.class_decision import ClassDecision
from cascade.report.plot_curves import draw_detection, draw_risk_coverage
from cascade.report.plot_frontier import draw_frontier
from cascade.report.plot_reliability import draw_reliability
from cascade.report.plot_scores import draw_scores
from cascade.report.plot_style import png
from cascade.report.results import Results
from cascade.report.wording import event_name


@dataclass(frozen=True, kw_only=True)
class Picture:
    """`file` is its name in the report's folder; `image` a PNG, None where `caption` says why."""

    file: str
    title: str
    caption: str
    image: bytes | None


@dataclass(frozen=True)
class _Plan:
    file: str
    title: str
    draw: Callable[[Results], Figure | None]
    caption: Callable[[Results], str]
    absence: Callable[[Results], str]


def draw_pictures(results: Results) -> list[Picture]:
    """All of them; one that makes no sense for these results is a sentence that says why."""
    pictures = []
    for plan in _PLANS:
        figure = plan.draw(results)
        caption = (plan.absence if figure is None else plan.caption)(results)
        image = None if figure is None else png(figure)
        if caption:
            pictures.append(Picture(file=plan.file, title=plan.title, caption=caption, image=image))
    return pictures


def _curves_caption(results: Results) -> str:
    text = (
        "The share of wrong answers if only the surest rows are accepted (towards the left) or all of "
        "them (at the right end). A lower curve is wrong less often at the same coverage. Each "
        f"marker is the final threshold that is deployed{_set_elsewhere(results)}. Rows that left "
        "at different stages are ranked as the policy ranks them, by the raw score or by the "
        "calibrated confidence."
    )
    if results.objective.uses_ood:
        text += " OOD rows are among these in the share asked for; to accept one is wrong."
    return text


def _set_elsewhere(results: Results) -> str:
    return ", set on rows other than these" if results.question.is_fresh else ""


def _no_curves(results: Results) -> str:
    if isinstance(results.objective, ClassDecision):
        return (
            "Left out: under this objective ‘accepted’ is the decision itself, at a fixed threshold on "
            f"P(class {results.objective.number}), so no row is rejected and there is no coverage to trade "
            "for risk."
        )
    return (
        "Left out: this objective asks which rows are in distribution, not which answers are right; the "
        "picture below shows what is accepted of either kind."
    )


def _detection_caption(results: Results) -> str:
    return (
        "What is accepted of the rows in distribution and of the others, for every threshold. A lower curve "
        "lets fewer OOD rows through at the same share of the others. Each marker is the deployed threshold"
        f"{_set_elsewhere(results)}."
    )


def _frontier_caption(results: Results) -> str:
    return (
        "Each line is one rule fitted over budgets, from stage 1 alone to every member on every row. "
        "Its value is read off the judged rows' own curve, so that rules compare at the same target, "
        "and bands are 95% intervals over rows. Rules share the rows, so a difference is known better "
        "than the bands suggest: the right panel has it, resampled in pairs, at equal budget."
    )


def _scores_caption(results: Results) -> str:
    text = (
        "The scores of the rows that reach each stage. What lies in the shaded range is forwarded; "
        "the dashed line is the final threshold, from which on a row that leaves there is accepted. "
        "Scores beyond the edges stand in the bins at the ends; bars too high for the picture are "
        "marked with their height."
    )
    if results.parts.judge.num_ood:
        text += " The outline counts OOD rows, which are not among the bars."
    return text


def _no_scores(results: Results) -> str:
    return "Left out: no policy here decides which rows to forward."


def _reliability_caption(results: Results) -> str:
    return (
        "Of rows that leave at a stage with a confidence of 90%, 90% should be "
        f"{event_name(results.objective)}: points belong on the dashed line. Bins hold about equally "
        "many rows, bars are 95% Wilson intervals; NLL and Brier score (lower is better) judge the "
        "confidence as a whole, ECE only its distance from the line."
    )


def _nothing(results: Results) -> str:
    return ""


_PLANS = (
    _Plan("risk-coverage.png", "Risk against coverage", draw_risk_coverage, _curves_caption, _no_curves),
    _Plan("detection.png", "OOD rows against the others", draw_detection, _detection_caption, _nothing),
    _Plan("frontier.png", "What quality costs", draw_frontier, _frontier_caption, _nothing),
    _Plan("scores.png", "What the stages know", draw_scores, _scores_caption, _no_scores),
    _Plan("reliability.png", "Is the confidence honest?", draw_reliability, _reliability_caption, _nothing),
)
