"""Tables of the report, as HTML."""

from collections.abc import Sequence
from html import escape

from benchmarks.study.claims import Claim
from benchmarks.study.figures import (
    ACCURACY,
    AURC,
    AURC_FAR,
    AURC_NEAR,
    AUROC_FAR,
    AUROC_NEAR,
    COVERAGE_AT_RISK,
    FIGURES,
    FPR_NEAR,
    RISK_AT_COVERAGE,
    WINDOW_COVERAGE,
)
from benchmarks.study.findings import updates
from benchmarks.study.sizes import NONE
from benchmarks.study.strange import FAMILIES
from benchmarks.study.words import CPU, SHORT, Record, change, times, value, verdict
from loadtest.report.document import beneath
from loadtest.report.wording import count

Cell = tuple[str, str]
"""HTML, and the class of the cell."""

JUDGED = (
    COVERAGE_AT_RISK,
    RISK_AT_COVERAGE,
    ACCURACY,
    AURC,
    AUROC_NEAR,
    FPR_NEAR,
    AURC_NEAR,
    AURC_FAR,
)
DETECTED = tuple(f"{figure} {name}" for figure in ("auroc", "fpr@95tpr") for name in FAMILIES)
COMPARED = (COVERAGE_AT_RISK, RISK_AT_COVERAGE, ACCURACY, AUROC_NEAR, AURC_NEAR)
BESIDE_SINGLES = (COVERAGE_AT_RISK, ACCURACY, AUROC_NEAR, AURC_NEAR)
OF_MEMBERS = ("member accuracy", "member NLL", ACCURACY, "NLL", "disagreement")
OF_ACCEPTING = (COVERAGE_AT_RISK, WINDOW_COVERAGE, AURC, AUROC_NEAR, AUROC_FAR)
FITS = ("first", "threshold", "paper", "ours", "full")
DECIDING = ("threshold", "paper", "ours")


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]], num_names: int) -> str:
    """The first `num_names` columns are texts; a row begins a group where its first cell is not empty."""
    classes = ['class="text"' if place < num_names else "" for place in range(len(head))]
    titles = "".join(f"<th {of}>{escape(title)}</th>" for of, title in zip(classes, head, strict=True))
    lines = "".join(
        f"<tr{' class=begins' if row[0][0] else ''}>"
        + "".join(f'<td class="{of}">{html}</td>' for html, of in row)
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'


def text(words: str) -> Cell:
    return escape(words), "text"


def number(words: str) -> Cell:
    return escape(words), ""


def told(figure: str, record: Record) -> Cell:
    return beneath(*value(figure, record)), ""


def changed(figure: str, record: Record) -> Cell:
    return beneath(*change(figure, record)), verdict(figure, record)


def grouped(names: Sequence[str]) -> list[str]:
    """Each name where it differs from the one before."""
    return ["" if place and names[place - 1] == name else name for place, name in enumerate(names)]


def claims_table(found: Sequence[Claim]) -> str:
    rows = [
        [
            _wrapped(claim.text, 260),
            (f"<b>{escape(claim.verdict)}</b>", "text"),
            _wrapped(claim.evidence, 340),
            _wrapped(claim.rule, 180),
        ]
        for claim in found
    ]
    return table(["claim", "here", "seen", "it holds where"], rows, 4)


def _wrapped(words: str, width_px: int) -> Cell:
    """A text that may take several lines, in a column at least so wide."""
    return f'<div style="white-space:normal;min-width:{width_px}px">{escape(words)}</div>', "text"


def judged_table(judged: Sequence[Record], figures: Sequence[str], cost: str) -> str:
    """`cost`: the one that is shown, of those that go with figures."""
    is_timed = CPU in judged[0]
    head = ["model", "contender", "MACs", *(["CPU ms"] if is_timed else []), *map(_title, figures)]
    models = grouped([each["model"] for each in judged])
    rows = [
        [
            text(model),
            text(each["contender"]),
            number(count(each["macs"][cost])),
            *([number(f"{each[CPU][cost]:.3f}")] if is_timed else []),
            *(told(figure, each["figures"][figure]) for figure in figures),
        ]
        for model, each in zip(models, judged, strict=True)
    ]
    return table(head, rows, 2)


def differences_table(differences: Sequence[Record]) -> str:
    units = [unit for unit in SHORT if f"{unit}_ratio" in differences[0]]
    head = ["members", "contender", "against", *(SHORT[unit] for unit in units), *map(_title, COMPARED)]
    models = grouped([each["model"] for each in differences])
    rows = [
        [
            text(model),
            text(each["contender"]),
            text(_other(each)),
            *(number(times(each[f"{unit}_ratio"])) for unit in units),
            *(changed(figure, each["figures"][figure]) for figure in COMPARED),
        ]
        for model, each in zip(models, differences, strict=True)
    ]
    return table(head, rows, 3)


def _other(each: Record) -> str:
    is_across = each["against_model"] != each["model"]
    return f"{each['against_model']}, {each['against']}" if is_across else str(each["against"])


def equal_cost_table(records: Sequence[Record]) -> str:
    """Contenders against the line of single models, those of each unit side by side."""
    units = [unit for unit in SHORT if any(each["unit"] == unit for each in records)]
    by_unit = [
        {(each["model"], each["contender"]): each["figures"] for each in records if each["unit"] == unit}
        for unit in units
    ]
    keys = [key for key in by_unit[0] if any(of[key][COVERAGE_AT_RISK] for of in by_unit)]
    titles = [f"{_title(of)}, {SHORT[unit]}" for unit in units for of in BESIDE_SINGLES]
    rows = [
        [
            text(model),
            text(keys[place][1]),
            *(_of_line(figure, found[keys[place]][figure]) for found in by_unit for figure in BESIDE_SINGLES),
        ]
        for place, model in enumerate(grouped([model for model, _ in keys]))
    ]
    return table(["members", "contender", *titles], rows, 2)


def _of_line(figure: str, difference: Record | None) -> Cell:
    return number("–") if difference is None else changed(figure, difference)


def _title(figure: str) -> str:
    return FIGURES[figure].title


def arms_table(arms: Sequence[Record], figures: Sequence[str]) -> str:
    head = ["selection", "ensemble", *map(_title, figures)]
    names = grouped([arm["selection"] for arm in arms])
    rows = [
        [text(name), text(arm["ensemble"]), *(_of_arm(arm, figure) for figure in figures)]
        for name, arm in zip(names, arms, strict=True)
    ]
    return table(head, rows, 2)


def _of_arm(arm: Record, figure: str) -> Cell:
    """The value, and beneath it the difference to plain training in its colour."""
    shown, _ = value(figure, arm["figures"][figure])
    if arm["selection"] == NONE:
        return escape(shown), ""
    difference = arm["against_plain"][figure]
    moved, interval = change(figure, difference)
    return beneath(shown, f"{moved} [{interval}]"), verdict(figure, difference)


def spent_table(arms: Sequence[Record]) -> str:
    """What a member took; of pairs alike, and of the second member of cascade-aware ones."""
    head = [
        "labels",
        "selection",
        "updates to target",
        "updates",
        "samples forward",
        "backward",
        "seconds",
        "overlap",
    ]
    labels = grouped([arm["labels"] for arm in arms])
    rows = [
        [
            text(label),
            text(arm["selection"]),
            number(updates(arm)),
            *(number(f"{arm['spent'][name]:,.0f}") for name in SPENT),
            number("–" if arm["spent"]["overlap"] is None else f"{arm['spent']['overlap']:.0%}"),
        ]
        for label, arm in zip(labels, arms, strict=True)
    ]
    return table(head, rows, 2)


SPENT = ("updates", "samples_forward", "samples_backward", "seconds")


def windows_table(cells: Sequence[Record]) -> str:
    gains = ("paper over threshold", "ours over threshold", "ours over paper")
    head = ["budget", *FITS, "oracle", *gains, *(f"gap: {name}" for name in DECIDING)]
    rows = [
        [
            number(times(cell["budget"])),
            *(told(cell["objective"], cell["values"][name]) for name in FITS),
            number(f"{cell['oracle'] * 100:.1f}%"),
            *(changed("gain", cell["gains"][name]) for name in gains),
            *(number(_part(cell["share_of_gap"][name])) for name in DECIDING),
        ]
        for cell in cells
    ]
    return table(head, rows, 0)


def _part(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def deployed_table(cells: Sequence[Record]) -> str:
    """At deployed thresholds: what is accepted, the risk, and pairs above the target, estimated and
    certified."""
    kinds = ("deployed", "certified")
    names = list(cells[0]["certified"])
    head = [
        "budget",
        *(f"{name}, {kind}" for name in names for kind in ("estimated", "certified")),
        *(f"cost of {name}" for name in DECIDING),
    ]
    rows = [
        [
            number(times(cell["budget"])),
            *(_deployed(cell[kind][name]) for name in names for kind in kinds),
            *(number(f"{cell['costs'][name]:.3f}") for name in DECIDING),
        ]
        for cell in cells
    ]
    return table(head, rows, 0)


def _deployed(found: Record) -> Cell:
    under = f"risk {found['risk']:.1%}, above in {found['exceeded']}/{found['pairs']}"
    return beneath(f"{found['coverage']:.1%}", under), ""


def served_table(cases: Sequence[Record]) -> str:
    head = [
        *("cascade", "policy", "coverage", "accuracy", "rows/s", "CPU ms a row", "MACs, × first"),
        *("CPU, × first", "CPU alone, × first", "p50 ms", "p99 ms"),
    ]
    cascades = grouped([case["cascade"] for case in cases])
    rows = [
        [
            text(cascade),
            text(case["policy"]),
            told("coverage", case["coverage"]),
            told(ACCURACY, case["accuracy"]),
            number(count(case["rows_per_s"])),
            number(f"{case['cpu_ms']:.3f}"),
            number(times(case["cost"])),
            number(times(case["cpu_ratio"])),
            number(times(case["cpu_alone_ratio"])),
            number(f"{case['p50_ms']:.2f}"),
            number(f"{case['p99_ms']:.2f}"),
        ]
        for cascade, case in zip(cascades, cases, strict=True)
    ]
    return table(head, rows, 2)
