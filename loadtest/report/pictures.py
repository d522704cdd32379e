"""The pictures of a report, each with the sentence that explains it to someone new to the project."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from loadtest.figures.results import Results
from loadtest.report.plot_exits import draw_exits
from loadtest.report.plot_gallery import draw_gallery
from loadtest.report.plot_latency import draw_latency
from loadtest.report.plot_quality import draw_cost_and_quality, draw_risk_coverage
from loadtest.report.plot_scores import draw_stage1_scores
from loadtest.report.plot_stage_latency import draw_stage_latency
from loadtest.report.plot_style import png
from loadtest.report.plot_timeline import draw_timeline
from loadtest.report.traffic_words import rate_in_words


@dataclass(frozen=True, kw_only=True)
class Picture:
    """`file` is its name in the report's folder; `image` a PNG."""

    file: str
    title: str
    caption: str
    image: bytes

    @property
    def alt(self) -> str:
        """For those who can't see it: what is drawn, and how to read it."""
        return f"{self.title}. {self.caption}"


@dataclass(frozen=True)
class _Plan:
    file: str
    title: str
    draw: Callable[[Results], Figure | None]
    caption: Callable[[Results], str]


def draw_pictures(results: Results) -> list[Picture]:
    """Those that these results allow."""
    pictures = []
    for plan in _PLANS:
        figure = plan.draw(results)
        if figure is not None:
            pictures.append(
                Picture(file=plan.file, title=plan.title, caption=plan.caption(results), image=png(figure))
            )
    return pictures


def write_pictures(folder: Path, pictures: list[Picture]) -> None:
    for picture in pictures:
        (folder / picture.file).write_bytes(picture.image)


def _cost_caption(results: Results) -> str:
    return (
        "Each point is a policy, that is, a rule for when a row may stop at a cheap stage and when it must "
        "go on to a dearer one: further left is cheaper, higher is better (lower for risk); bars are 95% "
        "intervals. Policies of nearly the same cost are drawn side by side, a little beside their cost, so "
        "that none hides another."
    )


def _risk_coverage_caption(results: Results) -> str:
    return (
        "The share of wrong answers if only the surest rows are answered (towards the left) or all of them "
        "(at the right end). A lower curve is wrong less often at the same coverage, be it because its "
        "answers are better or because its scores tell better which are wrong; each marker is the threshold "
        "that is deployed, below which the server says that it does not know."
    )


def _scores_caption(results: Results) -> str:
    return (
        "How sure the first, cheap stage is of each row, with the rows it gets wrong in red: a policy "
        "forwards to later stages the rows inside its shaded window, or left of its dashed line, and lets "
        "all others leave here. Policies that act on another score are not drawn."
    )


def _exits_caption(results: Results) -> str:
    return (
        "The share of rows that leave at each stage, and, hatched, those whose answer is marked as rejected "
        "because its score lies below the deployed threshold."
    )


def _latency_caption(results: Results) -> str:
    return (
        f"Latency at {rate_in_words(results.campaign.config.load)}, counted from the moment at which each "
        "request was meant to leave, so that a stalled server can't hide. The axis is stretched towards the "
        "slowest requests: from 90% to 99% is as far as from 99% to 99.9%. Requests without an answer count "
        "as slower than all others, and a curve ends where they begin."
    )


def _stage_latency_caption(results: Results) -> str:
    return (
        "Answered requests by the deepest stage that one of their rows needed, with their share. An overall "
        "percentile often just says how many reached the last stage. Ridges are drawn to the same height."
    )


def _timeline_caption(results: Results) -> str:
    bursts = "" if results.campaign.config.load.hard_bursts is None else " Shaded: bursts of hard rows."
    return (
        "The schedule bit by bit: requests offered and answered, the share of rows that leave at each stage, "
        f"and the slowest hundredth of the requests of all that are compared.{bursts} Requests without an "
        "answer are marked along the top; where they are more than a hundredth, the curve has a gap."
    )


def _gallery_caption(results: Results) -> str:
    return (
        f"Rows drawn at random under {results.judged.contender!r}, with the answer and its confidence: green "
        "is right, red (✗) is wrong, grey is right but was rejected; of rows that belong to no class, "
        "rejecting is right."
    )


_PLANS = (
    _Plan("cost-and-quality.png", "What quality costs", draw_cost_and_quality, _cost_caption),
    _Plan("exits.png", "Where rows leave", draw_exits, _exits_caption),
    _Plan("stage-1-scores.png", "What the first stage knows", draw_stage1_scores, _scores_caption),
    _Plan("risk-coverage.png", "Risk against coverage", draw_risk_coverage, _risk_coverage_caption),
    _Plan("latency.png", "Latency under load", draw_latency, _latency_caption),
    _Plan("latency-by-stage.png", "Latency by exit stage", draw_stage_latency, _stage_latency_caption),
    _Plan("timeline.png", "Over time", draw_timeline, _timeline_caption),
    _Plan("gallery.png", "The rows themselves", draw_gallery, _gallery_caption),
)
