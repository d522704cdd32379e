"""The report of a search: `report.html`, its picture, and the figures for programs."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from loadtest.figures.probe import Found, Goal, Probe
from loadtest.report.circumstances import Circumstances, origin
from loadtest.report.document import definitions, document, header, image, paragraph, section
from loadtest.report.line_table import line_table
from loadtest.report.plot_search import draw_search
from loadtest.report.plot_style import contender_colours, png
from loadtest.report.probe_figures import case_names, heading, probe_line, probe_to_json
from loadtest.report.search_words import at_found, lead, rate_text, warnings
from loadtest.report.summary import write_csv, write_json
from loadtest.report.wording import NONE, exits, milliseconds, per_second, percent

PICTURE = "search.png"
CAPTION = (
    "Every probe by its rate: above, the latency that the goal is about; below, the good rows as a share of "
    "those that are answered right without load. Filled points reached the goal (dashed), hollow ones missed "
    "it, and crosses say nothing, since the generator lagged; the upright line is the highest rate that held "
    "in every confirming run."
)


def write_search(folder: Path, found: Sequence[Found], goal: Goal, around: Circumstances) -> None:
    picture = png(draw_search(found, goal))
    (folder / PICTURE).write_bytes(picture)
    (folder / "report.html").write_text(page(found, goal, around, picture), encoding="utf-8")
    cases = [each.case for each in found]
    content = heading("search", cases, goal, around) | {"found": [_found_to_json(each) for each in found]}
    write_json(folder, content)
    write_csv(folder, [probe_line(probe) for each in found for probe in each.probes])


def _found_to_json(found: Found) -> dict[str, object]:
    return {
        **case_names(found.case),
        "rate": found.rate,
        "failed_rate": found.failed_rate,
        "is_generator_limited": found.is_generator_limited,
        "probes": [probe_to_json(probe) for probe in found.probes],
    }


def page(found: Sequence[Found], goal: Goal, around: Circumstances, picture: bytes) -> str:
    models = ", ".join(dict.fromkeys(each.case.served.name for each in found))
    title = f"{models}: the highest rate that holds"
    colours = contender_colours(list(dict.fromkeys(each.case.contender for each in found)))
    probes = [probe for each in found for probe in each.probes]
    body = [
        header(title, around.started_in_words),
        _banner(found),
        f'<p class="lead">{escape(lead(found, goal))}</p>',
        section("What was found", line_table(found, lambda f: f.case, FOUND_COLUMNS, colours)),
        section("The search", paragraph(CAPTION), image(picture, f"The search. {CAPTION}")),
        section("Every probe", line_table(probes, lambda p: p.case, PROBE_COLUMNS, colours)),
        section("How this was measured", definitions(_terms(goal, around))),
    ]
    return document(title, body)


def _banner(found: Sequence[Found]) -> str:
    """What keeps the rates from being the server's own limits."""
    texts = "".join(f"<p>{escape(text)}</p>" for text in warnings(found))
    return f'<div class="banner invalid" role="alert">{texts}</div>' if texts else ""


def _terms(goal: Goal, around: Circumstances) -> list[tuple[str, str]]:
    return [
        *origin(around),
        ("Goal", str(goal)),
        (
            "Search",
            "the rate doubles (or halves) until one holds and one does not, then their ratio is bisected; "
            "the rate found must hold again in confirming runs, each with arrivals of its own",
        ),
        ("Kept", "rows right, in time and not degraded, of those that are answered right without load"),
        (
            "Files",
            "figures in summary.json and summary.csv (a line for each probe), raw samples in raw/*.npz",
        ),
    ]


def _at(read: Callable[[Probe], str]) -> Callable[[Found], str]:
    def cell(found: Found) -> str:
        probe = at_found(found)
        return NONE if probe is None else read(probe)

    return cell


def _exits(probe: Probe) -> str:
    return exits(tuple(share.value for share in probe.under_load.exit_shares))


FOUND_COLUMNS: tuple[tuple[str, Callable[[Found], str]], ...] = (
    ("holds at, requests/s", rate_text),
    ("fails at", lambda f: NONE if f.failed_rate is None else per_second(f.failed_rate)),
    ("p50 ms", _at(lambda p: milliseconds(p.load.latency.p50_ms))),
    ("p99 ms", _at(lambda p: milliseconds(p.load.latency.p99_ms))),
    ("kept", _at(lambda p: percent(p.under_load.kept))),
    ("accuracy", _at(lambda p: percent(p.under_load.accuracy.value))),
    ("exits per stage, %", _at(_exits)),
    ("probes", lambda f: str(len(f.probes))),
)
PROBE_COLUMNS: tuple[tuple[str, Callable[[Probe], str]], ...] = (
    ("phase", lambda p: p.phase),
    ("requests/s", lambda p: per_second(p.rate)),
    ("p50 ms", lambda p: milliseconds(p.load.latency.p50_ms)),
    ("p99 ms", lambda p: milliseconds(p.load.latency.p99_ms)),
    ("kept", lambda p: percent(p.under_load.kept, 2)),
    ("shed", lambda p: percent(p.under_load.shed)),
    ("degraded", lambda p: percent(p.under_load.degraded)),
    ("generator's lag p99, ms", lambda p: milliseconds(p.load.generator.lag_p99_ms)),
    ("verdict", lambda p: _verdict(p)),
)


def _verdict(probe: Probe) -> str:
    if not probe.is_valid:
        return "! the generator lagged"
    return "✓" if probe.is_good else f"✗ {probe.missed}"
