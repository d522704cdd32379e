"""`report.html`: one self-contained page, its pictures inside. Pure."""

from collections.abc import Mapping, Sequence
from html import escape

from loadtest.figures.assertions import Verdict
from loadtest.figures.results import Results
from loadtest.report.circumstances import Circumstances, described
from loadtest.report.differences import differences_table, how_compared
from loadtest.report.document import definitions, document, header, image, paragraph, section, subheading
from loadtest.report.flows import FlowPicture
from loadtest.report.headline import cards, judged_and_full, lead, subtitle, title
from loadtest.report.notes import notes
from loadtest.report.pictures import Picture
from loadtest.report.tables import marks, quality_table, speed_table, stage_table, under_load_table
from loadtest.report.traffic_words import load_in_words
from loadtest.report.verdict_lines import banner
from loadtest.report.wording import listed

# Pictures of the policies themselves, which load does not change.
LAST = ("exits.png", "stage-1-scores.png", "risk-coverage.png", "gallery.png")
QUALITY_SENTENCE = (
    "Every test row sent once, whatever the load. Accuracy is of all rows, risk is the error rate among the "
    "accepted ones, agreement is with the contender that runs all members, each with its 95% interval; cost "
    "is the mean work per row, in multiply-adds and as a multiple of the first stage."
)
SPEED_SENTENCE = (
    "Latency counts from the intended send at the offered rate, a request without an answer ranking above "
    "all that have one; service time counts from the real send. What the server spends is per answered row: "
    "CPU of its processes, executions of the members, and waiting in their queues."
)
FLOW_SENTENCE = (
    "Every row begins at the first, cheap stage. Where the policy is sure, the row leaves with an answer, "
    "accepted or (hatched) rejected; the others go on to a dearer stage. Widths are shares of all rows."
)


def page(
    results: Results,
    verdicts: Sequence[Verdict],
    around: Circumstances,
    pictures: Sequence[Picture],
    flows: Sequence[FlowPicture],
) -> str:
    drawn = {picture.file: picture for picture in pictures}
    body = [
        header(title(results), f"{subtitle(results)} · {around.started_in_words} · {_load(results)}"),
        banner(results, verdicts),
        f'<p class="lead">{escape(lead(results))}</p>',
        _cards(results),
        _flows(flows),
        section(
            "The answers, and what they cost",
            paragraph(QUALITY_SENTENCE),
            quality_table(results),
            _notes(results),
        ),
        _picture(drawn, "cost-and-quality.png"),
        section("Speed", paragraph(SPEED_SENTENCE + marks(results)), speed_table(results)),
        _picture(drawn, "latency.png"),
        _picture(drawn, "latency-by-stage.png", stage_table(results)),
        section("Under load", paragraph(_under_load_sentence(results)), under_load_table(results)),
        _picture(drawn, "timeline.png"),
        _differences(results),
        *(_picture(drawn, file) for file in LAST),
        section("How this was measured", definitions(described(results, around))),
    ]
    return document(title(results), body)


def _load(results: Results) -> str:
    """And, where it is another mix of rows, that most figures on top are not of it."""
    load = results.campaign.config.load
    unlike = " (answers and cost on top are of the samples as they are)" if load.is_dialled else ""
    return load_in_words(load) + unlike


def _under_load_sentence(results: Results) -> str:
    objective = results.campaign.config.objective_ms
    in_time = "" if objective is None else f", within {objective:g} ms"
    return (
        "What a client met. Rows without an answer are neither right nor accepted, so that shed and failed "
        f"requests count against accuracy and coverage. Good rows were answered right{in_time} and not "
        "degraded; kept is, of the rows that are right without load, the share that is good under it."
    )


def _cards(results: Results) -> str:
    case, other = judged_and_full(results)
    beside = f", and below each figure the same of {other.contender}" if other else ""
    items = "".join(
        f'<div class="card"><div class="name">{escape(card.name)}</div>'
        f'<div class="value">{escape(card.value)}</div><div class="beside">{escape(card.beside)}</div></div>'
        for card in cards(results)
    )
    return f'<p class="under">{escape(case.name + beside)}:</p><div class="cards">{items}</div>'


def _flows(flows: Sequence[FlowPicture]) -> str:
    if not flows:
        return ""
    first, *others = flows
    rest = "".join(subheading(other.contender) + other.svg for other in others)
    names = listed([f"‘{other.contender}’" for other in others]) if others else ""
    return section(
        f"How rows run through ‘{first.contender}’",
        paragraph(FLOW_SENTENCE),
        first.svg,
        f"<details><summary>… and through {escape(names)}</summary>{rest}</details>" if others else "",
    )


def _picture(drawn: Mapping[str, Picture], file: str, table: str = "") -> str:
    if file not in drawn:
        return ""
    picture = drawn[file]
    return section(picture.title, paragraph(picture.caption), image(picture.image, picture.alt), table)


def _notes(results: Results) -> str:
    items = (f'<li class="{note.level}">{escape(note.text)}</li>' for note in notes(results))
    return f'<ul class="notes">{"".join(items)}</ul>'


def _differences(results: Results) -> str:
    if all(case.difference is None for case in results.cases):
        return ""
    return section(
        f"Differences to ‘{results.campaign.baseline}’",
        paragraph(how_compared(results)),
        differences_table(results),
    )
