"""The pictures of a report, each with the sentence that explains it to someone new to the project."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from loadtest.report.plot_exits import draw_exits
from loadtest.report.plot_gallery import draw_gallery, gallery_policy
from loadtest.report.plot_latency import draw_latency
from loadtest.report.plot_quality import draw_cost_and_quality, draw_risk_coverage
from loadtest.report.plot_scores import draw_stage1_scores
from loadtest.report.plot_style import png
from loadtest.results import Results


@dataclass(frozen=True, kw_only=True)
class Picture:
    """`file` is its name in the report's folder; `image` a PNG."""

    file: str
    title: str
    caption: str
    image: bytes


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
        "intervals, and points of equal cost stand side by side."
    )


def _risk_coverage_caption(results: Results) -> str:
    return (
        "If only the surest rows are answered (towards the left), fewer of the answers are wrong: a lower "
        "curve ranks its rows better, and each marker is the threshold that is deployed, below which the "
        "server says that it does not know."
    )


def _scores_caption(results: Results) -> str:
    return (
        "How sure the first, cheap stage is of each row, with the rows it gets wrong in red: the rows inside "
        "a shaded window, or left of a dashed line, are forwarded to later stages, and all others leave here."
    )


def _exits_caption(results: Results) -> str:
    return (
        "The share of rows that leave at each stage, and, hatched, those whose answer is marked as rejected "
        "because its score lies below the deployed threshold."
    )


def _latency_caption(results: Results) -> str:
    load = results.campaign.config.load
    return (
        f"Latency at {load.rate:g} requests/s, counted from the moment at which each request was meant to "
        "leave, so that a stalled server can't hide; each step to the right is one more nine, and a curve "
        "that jumps shows where requests begin to need another stage or to queue."
    )


def _gallery_caption(results: Results) -> str:
    return (
        f"Rows drawn at random under {gallery_policy(results)!r}, with the answer and its confidence: green "
        "is right, red (✗) is wrong, grey is right but was rejected; of rows that belong to no class, "
        "rejecting is right."
    )


_PLANS = (
    _Plan("cost-and-quality.png", "What quality costs", draw_cost_and_quality, _cost_caption),
    _Plan("exits.png", "Where rows leave", draw_exits, _exits_caption),
    _Plan("stage-1-scores.png", "What the first stage knows", draw_stage1_scores, _scores_caption),
    _Plan("risk-coverage.png", "Risk against coverage", draw_risk_coverage, _risk_coverage_caption),
    _Plan("latency.png", "Latency under load", draw_latency, _latency_caption),
    _Plan("gallery.png", "The rows themselves", draw_gallery, _gallery_caption),
)
