"""Tables of the report, as HTML."""

from collections.abc import Sequence
from html import escape

from benchmarks.study.claims import Claim
from benchmarks.study.words import Record, change, times, value, verdict
from loadtest.report.document import beneath
from loadtest.report.wording import count

Cell = tuple[str, str]
"""HTML, and the class of the cell."""

JUDGED = (
    "coverage@5%risk",
    "risk@80%coverage",
    "accuracy",
    "aurc",
    "auroc cifar100",
    "fpr@95tpr cifar100",
    "aurc, near OOD mixed in",
    "aurc, far OOD mixed in",
)
STRANGE = ("cifar100", "digits", "noise", "textures")
COMPARED = ("coverage@5%risk", "risk@80%coverage", "accuracy", "auroc cifar100", "aurc, near OOD mixed in")
OF_MEMBERS = ("member accuracy", "member NLL", "accuracy", "NLL", "disagreement")
OF_ACCEPTING = ("coverage@5%risk", "window coverage@5%risk", "aurc", "auroc near", "auroc far")
SHORT = {
    "coverage@5%risk": "coverage @5% risk",
    "risk@80%coverage": "risk @80% coverage",
    "aurc": "AURC",
    "auroc cifar100": "AUROC near",
    "fpr@95tpr cifar100": "FPR near",
    "aurc, near OOD mixed in": "AURC, near mixed in",
    "aurc, far OOD mixed in": "AURC, far mixed in",
    "window coverage@5%risk": "its window's coverage",
    "auroc near": "AUROC near",
    "auroc far": "AUROC far",
}


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
            _wrapped(claim.text, 300),
            (f"<b>{escape(claim.verdict)}</b>", "text"),
            _wrapped(claim.evidence, 420),
        ]
        for claim in found
    ]
    return table(["claim", "here", "seen"], rows, 3)


def _wrapped(words: str, width_px: int) -> Cell:
    """A text that may take several lines, in a column at least so wide."""
    return f'<div style="white-space:normal;min-width:{width_px}px">{escape(words)}</div>', "text"


def judged_table(judged: Sequence[Record], figures: Sequence[str]) -> str:
    head = ["model", "contender", "MACs", "server CPU ms", *map(short, figures)]
    models = grouped([each["model"] for each in judged])
    rows = [
        [
            text(model),
            text(each["contender"]),
            number(count(each["macs"])),
            number(f"{each['cpu_ms']:.3f}"),
            *(told(figure, each["figures"][figure]) for figure in figures),
        ]
        for model, each in zip(models, judged, strict=True)
    ]
    return table(head, rows, 2)


def differences_table(differences: Sequence[Record]) -> str:
    head = ["members", "contender", "against a single", "MACs", "server CPU", *map(short, COMPARED)]
    rows = [
        [
            text(each["model"]),
            text(each["contender"]),
            text(each["against_model"]),
            number(times(each["macs_ratio"])),
            number(times(each["cpu_ratio"])),
            *(changed(figure, each["figures"][figure]) for figure in COMPARED),
        ]
        for each in differences
    ]
    return table(head, rows, 3)


def equal_cost_table(records: Sequence[Record]) -> str:
    """Contenders against the line of single models; those of `macs` and of `cpu_ms` side by side."""
    by_unit = {
        unit: {(each["model"], each["contender"]): each for each in records if each["unit"] == unit}
        for unit in ("macs", "cpu_ms")
    }
    keys = list(dict.fromkeys((each["model"], each["contender"]) for each in records))
    figures = ("coverage@5%risk", "accuracy", "auroc cifar100", "aurc, near OOD mixed in")
    head = ["members", "contender", *(f"{short(of)}, {unit}" for unit in ("MACs", "CPU") for of in figures)]
    rows = [
        [
            text(model),
            text(keys[place][1]),
            *(_of_line(found.get(keys[place]), figure) for found in by_unit.values() for figure in figures),
        ]
        for place, model in enumerate(grouped([model for model, _ in keys]))
    ]
    return table(head, rows, 2)


def _of_line(record: Record | None, figure: str) -> Cell:
    return number("–") if record is None else changed(figure, record["figures"][figure])


def short(figure: str) -> str:
    return SHORT.get(figure, figure)


def arms_table(arms: Sequence[Record], figures: Sequence[str]) -> str:
    head = ["selection", "ensemble", "updates to target", *map(short, figures)]
    names = grouped([arm["selection"] for arm in arms])
    rows = [
        [
            text(name),
            text(arm["ensemble"]),
            number(_updates(arm)),
            *(_of_arm(arm, figure) for figure in figures),
        ]
        for name, arm in zip(names, arms, strict=True)
    ]
    return table(head, rows, 2)


def _updates(arm: Record) -> str:
    hit, members = arm["reached"]
    median = "–" if arm["updates_to_target"] is None else f"{arm['updates_to_target']:,.0f}"
    return f"{median} ({hit} of {members})"


def _of_arm(arm: Record, figure: str) -> Cell:
    """The value, and beneath it the difference to plain training in its colour."""
    shown, _ = value(figure, arm["figures"][figure])
    if arm["selection"] == "none":
        return escape(shown), ""
    difference = arm["against_plain"][figure]
    moved, interval = change(figure, difference)
    # More disagreement is neither better nor worse in itself.
    colour = "same" if figure == "disagreement" else verdict(figure, difference)
    return beneath(shown, f"{moved} [{interval}]"), colour


def windows_table(cells: Sequence[Record]) -> str:
    fits = ("first", "threshold", "paper", "ours", "full")
    head = [
        "budget",
        *fits,
        "oracle",
        "ours − threshold",
        "ours − paper",
        "gap closed by ours",
        "by paper",
        "cost",
    ]
    rows = [
        [
            number(times(cell["budget"])),
            *(told(cell["objective"], cell["values"][name]) for name in fits),
            number(f"{cell['oracle'] * 100:.1f}%"),
            *(changed("coverage", cell["gains"][name]) for name in ("threshold", "paper")),
            *(number(_part(cell["share_of_gap"][name])) for name in ("ours", "paper")),
            number(f"{cell['costs']['ours']:.3f}"),
        ]
        for cell in cells
    ]
    return table(head, rows, 0)


def _part(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def certified_table(cells: Sequence[Record]) -> str:
    names = list(cells[0]["certified"])
    head = [
        "budget",
        *(f"{name}: {what}" for name in names for what in ("coverage", "risk", "risk exceeded")),
    ]
    rows = [
        [
            number(times(cell["budget"])),
            *(cell_of for name in names for cell_of in _certified(cell["certified"][name])),
        ]
        for cell in cells
    ]
    return table(head, rows, 0)


def _certified(found: Record) -> list[Cell]:
    return [
        number(f"{found['coverage']:.1%}"),
        number(f"{found['risk']:.1%}"),
        number(f"{found['exceeded']} of {found['pairs']}"),
    ]


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
            told("accuracy", case["accuracy"]),
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


def strange_table(judged: Sequence[Record]) -> str:
    figures = [f"{figure} {name}" for figure in ("auroc", "fpr@95tpr") for name in STRANGE]
    return judged_table(judged, figures)
