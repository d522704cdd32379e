"""`report.html`: one self-contained page, its pictures inside."""

import base64
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from cascade.report.page_style import CSS
from loadtest.figures.quality import Share
from loadtest.figures.results import CaseResult, Results
from loadtest.figures.statistics import Latency
from loadtest.report.circumstances import Circumstances, described
from loadtest.report.headline import cards, judged_and_full, lead
from loadtest.report.notes import Note
from loadtest.report.pictures import Picture, draw_pictures, write_pictures
from loadtest.report.plot_style import policy_colours
from loadtest.report.wording import NONE, capacity, count, exits, milliseconds, multiple, percent, tail

Column = tuple[str, Callable[[CaseResult], str]]
# Of fewer requests, the p99 is the slowest of all.
LEAST_FOR_P99 = 100


def write_page(folder: Path, results: Results, notes: Sequence[Note], around: Circumstances) -> None:
    pictures = draw_pictures(results)
    write_pictures(folder, pictures)
    (folder / "report.html").write_text(page(results, notes, around, pictures), encoding="utf-8")


def page(results: Results, notes: Sequence[Note], around: Circumstances, pictures: Sequence[Picture]) -> str:
    cascade = results.campaign.cascade
    title = f"{cascade.name}: what early exits cost and save"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="under">Cascade version {cascade.version}, {len(cascade.stages)} stages, '
        f"{len(cascade.members)} members &middot; {escape(around.started_in_words)}</p>",
        f'<p class="lead">{escape(lead(results))}</p>',
        _cards(results),
        _section("The figures", _FIGURES_SENTENCE, _table(results, _COLUMNS) + _notes(notes)),
        *(_picture(picture) for picture in pictures),
        _section("Latency by exit stage", _BY_STAGE_SENTENCE, _table(results, _stage_columns(results))),
        _section("How this was measured", "", _circumstances(results, around)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


_FIGURES_SENTENCE = (
    "Accuracy is of all rows, risk is the error rate among the accepted ones, each with its 95% interval; "
    "cost is the mean work per row as a multiple of the first stage; rows/s is at saturation, and latency is "
    "counted from the intended send at the offered rate, a request without an answer ranking above all that "
    "have one. * marks figures that the generator itself may limit."
)
_BY_STAGE_SENTENCE = (
    "An overall percentile often just says how many rows reached the last stage; so here is the latency of "
    "the requests by the deepest stage that one of their rows needed; the p99 from "
    f"{LEAST_FOR_P99} requests on."
)


def _section(title: str, sentence: str, content: str) -> str:
    under = f"<p>{escape(sentence)}</p>" if sentence else ""
    return f"<section><h2>{escape(title)}</h2>{under}{content}</section>"


def _cards(results: Results) -> str:
    case, other = judged_and_full(results)
    beside = f", and below each figure the same of {other.policy}" if other else ""
    items = "".join(
        f'<div class="card"><div class="name">{escape(card.name)}</div>'
        f'<div class="value">{escape(card.value)}</div><div class="beside">{escape(card.beside)}</div></div>'
        for card in cards(results)
    )
    return f'<p class="under">{escape(case.name + beside)}:</p><div class="cards">{items}</div>'


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.image).decode()
    image = f'<img alt="{escape(picture.title)}" src="data:image/png;base64,{data}">'
    return _section(picture.title, picture.caption, image)


def _notes(notes: Sequence[Note]) -> str:
    items = (f'<li class="{note.level}">{escape(note.text)}</li>' for note in notes)
    return f'<ul class="notes">{"".join(items)}</ul>'


def _table(results: Results, columns: Sequence[Column]) -> str:
    colours = policy_colours(results.campaign.policies)
    head = "".join(f"<th>{escape(name)}</th>" for name, _ in columns)
    lines = []
    for index, case in enumerate(results.cases):
        begins = index > 0 and results.cases[index - 1].policy != case.policy
        dot = f'<span class="dot" style="background:{colours[case.policy]}"></span>'
        cells = "".join(f"<td>{cell(case)}</td>" for _, cell in columns)
        lines.append(
            f'<tr{" class=begins" if begins else ""}><td class="text">{dot}{escape(case.policy)}</td>'
            f'<td class="text">{escape(case.protocol)}</td>{cells}</tr>'
        )
    return (
        '<div class="scroll"><table><thead><tr><th class="text">policy</th><th class="text">over</th>'
        f"{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _share(share: Share) -> str:
    if not share.is_known:
        return NONE
    interval = f"{share.low * 100:.1f} to {share.high * 100:.1f}"
    return f'{percent(share.value)}<span class="interval">{interval}</span>'


def _cpu(case: CaseResult) -> str:
    cpu = None if case.capacity is None else case.capacity.server_cpu_ms_per_row
    return NONE if cpu is None else f"{cpu:.3f}"


_COLUMNS: tuple[Column, ...] = (
    ("accuracy", lambda c: _share(c.quality.accuracy)),
    ("coverage", lambda c: _share(c.quality.coverage)),
    ("risk", lambda c: _share(c.quality.risk)),
    ("exits per stage, %", lambda c: exits(c.quality.exits)),
    ("MACs a row", lambda c: count(c.quality.cost_macs)),
    ("cost", lambda c: multiple(c.quality.cost)),
    ("rows/s", capacity),
    ("server CPU ms/row", _cpu),
    ("p50 ms", lambda c: milliseconds(c.load.latency.p50_ms)),
    ("p99 ms", tail),
    ("errors", lambda c: count(c.load.num_errors)),
)


def _stage_columns(results: Results) -> list[Column]:
    stages = range(1, len(results.campaign.cascade.stages) + 1)
    return [column for stage in stages for column in _columns_of_stage(stage)]


def _columns_of_stage(stage: int) -> tuple[Column, ...]:
    def read(figure: Callable[[Latency], str]) -> Callable[[CaseResult], str]:
        return lambda c: figure(c.load.by_exit_stage[stage]) if stage in c.load.by_exit_stage else NONE

    return (
        (f"stage {stage}: requests", read(lambda latency: count(latency.num_samples))),
        ("p50 ms", read(lambda latency: milliseconds(latency.p50_ms))),
        ("p99 ms", read(_known_tail)),
    )


def _known_tail(latency: Latency) -> str:
    return milliseconds(latency.p99_ms) if latency.num_samples >= LEAST_FOR_P99 else NONE


def _circumstances(results: Results, around: Circumstances) -> str:
    terms = described(results, around)
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in terms)}</dl>"
