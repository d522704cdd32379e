"""The report of a sweep: `report.html`, its pictures, and the figures for programs."""

from collections.abc import Callable
from html import escape
from pathlib import Path

from loadtest.figures.probe import Goal, Probe, Surface
from loadtest.report.circumstances import Circumstances, origin
from loadtest.report.document import definitions, document, header, image, paragraph, section
from loadtest.report.line_table import line_table
from loadtest.report.pictures import Picture
from loadtest.report.plot_style import contender_colours, png
from loadtest.report.plot_surface import draw_surface
from loadtest.report.plot_sweep import draw_brown_out
from loadtest.report.probe_figures import case_names, heading, probe_line, probe_to_json
from loadtest.report.summary import write_csv, write_json
from loadtest.report.sweep_words import cases_of, difficulty_text, goal_mark, in_order, invalid_text, lead
from loadtest.report.wording import exits, milliseconds, per_second, percent

BROWN_OUT_CAPTION = (
    "What gives way as the offered rate grows: requests are answered late, cut short at an earlier stage "
    "(degraded), turned away (shed) or lost (failed). Accuracy of all sent counts a row without an answer as "
    "wrong; where it falls while that of the answered holds, the server sheds rather than guesses. "
    "Each probe has rows of its own, so that accuracies differ by chance too, by some points where there are "
    "a few hundred."
)
SURFACE_CAPTION = (
    "Rate and difficulty together, a line for each case: blue is within the goal, yellow about at it, red "
    "beyond (∞: no answer). Kept is, of the rows that are right without load, the share that is right, in "
    "time and not degraded under it; hard is the quarter of rows of which the first stage is least sure."
)


def write_sweep(folder: Path, surface: Surface, goal: Goal, around: Circumstances) -> None:
    pictures = draw_sweep(surface, goal)
    for picture in pictures:
        (folder / picture.file).write_bytes(picture.image)
    (folder / "report.html").write_text(page(surface, goal, around, pictures), encoding="utf-8")
    probes = in_order(surface)
    told = [case_names(probe.case) | probe_to_json(probe) for probe in probes]
    grid = {"rates": surface.rates, "hard_shares": surface.hard_shares, "probes": told}
    write_json(folder, heading("sweep", cases_of(surface), goal, around) | grid)
    write_csv(folder, [probe_line(probe) for probe in probes])


def draw_sweep(surface: Surface, goal: Goal) -> list[Picture]:
    pictures = [_brown_out(surface, share, goal) for share in surface.hard_shares]
    heat = draw_surface(surface, goal)
    if heat is not None:
        title = "Rate and difficulty"
        image = png(heat)
        pictures.insert(0, Picture(file="surface.png", title=title, caption=SURFACE_CAPTION, image=image))
    return pictures


def _brown_out(surface: Surface, share: float | None, goal: Goal) -> Picture:
    hard = "" if share is None else f", {difficulty_text(share)} of the rows hard"
    name = "brown-out.png" if share is None else f"brown-out-hard-{share:g}.png"
    image = png(draw_brown_out(surface, share, goal))
    return Picture(file=name, title=f"As the rate grows{hard}", caption=BROWN_OUT_CAPTION, image=image)


def page(surface: Surface, goal: Goal, around: Circumstances, pictures: list[Picture]) -> str:
    models = ", ".join(dict.fromkeys(case.served.name for case in cases_of(surface)))
    title = f"{models}: what gives way under load"
    colours = contender_colours(list(dict.fromkeys(case.contender for case in cases_of(surface))))
    body = [
        header(title, around.started_in_words),
        _banner(surface),
        f'<p class="lead">{escape(lead(surface, goal))}</p>',
        *(section(p.title, paragraph(p.caption), image(p.image, p.alt)) for p in pictures),
        section("Every probe", line_table(in_order(surface), lambda p: p.case, COLUMNS, colours)),
        section("How this was measured", definitions(_terms(surface, goal, around))),
    ]
    return document(title, body)


def _banner(surface: Surface) -> str:
    text = invalid_text(surface)
    if not text:
        return ""
    word = '<b class="word">INVALID PROBES</b>'
    return f'<div class="banner invalid" role="alert"><p>{word}: {escape(text)}.</p></div>'


def _terms(surface: Surface, goal: Goal, around: Circumstances) -> list[tuple[str, str]]:
    return [
        *origin(around),
        ("Goal", str(goal)),
        ("Rates", ", ".join(f"{rate:g}" for rate in surface.rates) + " requests/s"),
        ("Hard rows", ", ".join(difficulty_text(share) for share in surface.hard_shares)),
        ("Turns", "a probe of each case for each rate and difficulty, in an order drawn at random"),
        ("Kept", "rows right, in time and not degraded, of those that are answered right without load"),
        (
            "Files",
            "figures in summary.json and summary.csv (a line for each probe), raw samples in raw/*.npz",
        ),
    ]


COLUMNS: tuple[tuple[str, Callable[[Probe], str]], ...] = (
    ("hard rows", lambda p: difficulty_text(p.hard_share)),
    ("requests/s", lambda p: per_second(p.rate)),
    ("p50 ms", lambda p: milliseconds(p.load.latency.p50_ms)),
    ("p99 ms", lambda p: milliseconds(p.load.latency.p99_ms) + ("" if p.is_valid else "*")),
    ("accuracy, all sent", lambda p: percent(p.under_load.accuracy.value)),
    ("answered", lambda p: percent(p.under_load.answered_accuracy.value)),
    ("good", lambda p: percent(p.under_load.good)),
    ("kept", lambda p: percent(p.under_load.kept)),
    ("degraded", lambda p: percent(p.under_load.degraded)),
    ("shed", lambda p: percent(p.under_load.shed)),
    ("failed", lambda p: percent(p.under_load.failed)),
    ("exits per stage, %", lambda p: exits(tuple(share.value for share in p.under_load.exit_shares))),
    ("goal", goal_mark),
)
