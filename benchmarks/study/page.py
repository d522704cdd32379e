"""The report: `report.html`, its pictures, and a CSV for each part."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.study.claims import claims
from benchmarks.study.contenders import OOD_SHARE
from benchmarks.study.findings import against_larger, findings
from benchmarks.study.pictures import scaling_picture, selections_picture, served_picture, windows_picture
from benchmarks.study.sizes import LABELS, Size
from benchmarks.study.tables import (
    JUDGED,
    OF_ACCEPTING,
    OF_MEMBERS,
    arms_table,
    certified_table,
    claims_table,
    differences_table,
    equal_cost_table,
    judged_table,
    served_table,
    strange_table,
    windows_table,
)
from benchmarks.study.windows import ALL, OBJECTIVES
from benchmarks.study.words import Record
from loadtest.report.document import document, header, image, section, subheading

Parts = Mapping[str, Any]
VERDICTS = (
    "A claim holds where every case lies on its side by more than its 95% interval over seeds and images, "
    "in part where some do, and does not hold where none does and some lie on the other side; where no "
    "case differs by more than chance it can't be told. Differences are in points with their intervals."
)
COMMAND = "python -m benchmarks.study --data-root DATA --human-labels CIFAR-10_human.npz --size"
CODE = re.compile("`([^`]+)`")
ARM_FIGURES = (
    ("accuracy", "Accuracy"),
    ("coverage@5%risk", "Coverage at 5% risk"),
    ("auroc near", "AUROC near"),
)


def write_page(folder: Path, size: Size, parts: Parts) -> None:
    """`parts` holds the records of each part by its name."""
    pictures = draw(parts)
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    text = page(size, parts, pictures)
    (folder / "report.html").write_text(text, encoding="utf-8")


def draw(parts: Parts) -> dict[str, bytes]:
    judged = parts["scaling"]["judged"]
    return {
        "scaling.png": scaling_picture(judged, "coverage@5%risk", "Coverage at 5% risk"),
        "accuracy.png": scaling_picture(judged, "accuracy", "Accuracy"),
        "near-ood.png": scaling_picture(judged, "auroc cifar100", "AUROC, CIFAR-100 as near OOD"),
        "mixed.png": scaling_picture(
            judged, "aurc, near OOD mixed in", "AURC with near OOD mixed in (lower is better)", is_share=False
        ),
        "selections.png": selections_picture(parts["selections"]["arms"], ARM_FIGURES),
        "windows.png": windows_picture(parts["windows"]["cells"]),
        "served.png": served_picture(parts["served"]["cases"]),
    }


def page(size: Size, parts: Parts, pictures: Mapping[str, bytes]) -> str:
    said = findings(parts)
    title = "Two papers, judged on CIFAR-10"
    body = [
        header(title, f"{size.name} study · {', '.join(size.models)} · {size.members} seeds"),
        section("Which claims hold", _prose(VERDICTS), claims_table(claims(parts))),
        _scaling(size, parts["scaling"], said["scaling"], pictures),
        _selections(size, parts["selections"], said["selections"], pictures),
        _windows(size, parts["windows"], said["windows"], pictures),
        _served(size, parts["served"], said["served"], pictures),
        section("What these sizes can show, and what not", _list(limits(size))),
    ]
    return document(title, body)


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{_marked(sentence)}</li>" for sentence in sentences) + "</ul>"


def _prose(words: str) -> str:
    return f"<p>{_marked(words)}</p>"


def _marked(words: str) -> str:
    """As HTML, with what stands between backticks as code."""
    return CODE.sub(r"<code>\1</code>", escape(words))


def _command(size: Size, part: str) -> str:
    return f"<p><code>{escape(f'{COMMAND} {size.name} --only {part}')}</code></p>"


def _scaling(size: Size, part: Record, said: Sequence[str], pictures: Mapping[str, bytes]) -> str:
    judged = part["judged"]
    return section(
        "1. Ensembles and cascades against scaled single models",
        _prose(
            f"{size.members} members of each model, alike but for their seed; a cascade's first stage is "
            "each of them in turn. Policies are fitted on 5,000 calibration rows: for coverage at 5% risk "
            "and risk at 80% coverage on MSP, for out-of-distribution rows (FPR at 95% TPR) on energy. "
            "Two stages within 1.2 times the multiply-adds of one member, three within 1.3. Judged on the "
            "test rows; the lower line of a cell is the 95% interval over seeds and images. Server CPU: "
            "that of each stage's model served alone, times the rows that reach it."
        ),
        _command(size, "scaling"),
        _list(said),
        image(pictures["scaling.png"], "coverage at 5% risk against cost"),
        subheading("Against a single of the next larger model"),
        _prose(
            "Differences in points (AURC as it is), paired by image; MACs and CPU as multiples of the "
            "single's."
        ),
        differences_table(against_larger(part)),
        subheading("Against single models of the same cost"),
        _prose(
            "Between two neighbouring singles their figures are interpolated over the logarithm of the "
            "cost, in multiply-adds (columns MACs) and in the server's CPU time (CPU). Contenders dearer "
            "than the largest single have nothing beside them."
        ),
        equal_cost_table(part["at_equal_cost"]),
        subheading("All contenders"),
        judged_table(judged, JUDGED),
        _prose(
            f"With OOD mixed in, {OOD_SHARE:.0%} of the traffic is out of distribution, and to accept "
            "such a row is an error."
        ),
        image(pictures["accuracy.png"], "accuracy against cost"),
        image(pictures["near-ood.png"], "near OOD against cost"),
        image(pictures["mixed.png"], "AURC with OOD mixed in against cost"),
        subheading("Each kind of out-of-distribution rows"),
        _prose(
            "Policies are fitted with patches of photographs as strangers, and judged on families that "
            "they have not seen: CIFAR-100's test set but for bus and pickup truck (near); enlarged "
            "digits, noise, and textures."
        ),
        strange_table(judged),
    )


def _selections(size: Size, part: Record, said: Sequence[str], pictures: Mapping[str, bytes]) -> str:
    setting = size.selecting
    tables = "".join(
        subheading(f"{labels.capitalize()} labels{what}")
        + arms_table([arm for arm in part["arms"] if arm["labels"] == labels], figures)
        for labels in LABELS
        for what, figures in (("", OF_MEMBERS), (": accepting and rejecting", OF_ACCEPTING))
    )
    return section(
        "2. Does the choice of batches help an ensemble?",
        _prose(
            f"Pairs of {setting.model}, {setting.train_rows:,} train rows, {setting.epochs} epochs of "
            "updates for each member whatever the selection, learning rate to zero within them, delta "
            f"0.5, {setting.seeds} seeds. `alike`: both members are trained with the selection; `behind "
            "plain`: the second alone. Noisy labels are one person's of CIFAR-10N (`worse_label`, 40% "
            f"wrong), on the train rows only. The target is {setting.target_accuracy:.0%} validation "
            "accuracy. Below each value stands the difference to two plain members of the same seeds, "
            "with its 95% interval over seeds and images."
        ),
        _command(size, "selections"),
        _list(said),
        image(pictures["selections.png"], "differences to plain training"),
        tables,
    )


def _windows(size: Size, part: Record, said: Sequence[str], pictures: Mapping[str, bytes]) -> str:
    cells = [cell for cell in part["cells"] if cell["model"] == ALL]
    tables = "".join(
        subheading(objective) + windows_table([cell for cell in cells if cell["objective"] == objective])
        for objective in OBJECTIVES
    )
    certified = [cell for cell in cells if cell["certified"]]
    return section(
        "3. Windows against thresholds at equal cost",
        _prose(
            "Two members of each model, every seed first once; means over models. `paper` is the rule of "
            "the window paper, `ours` what cross-validation on the calibration rows prefers. The oracle's "
            "gate knows for each row what each exit would give. Values are read off the test rows' own "
            "curve; budgets are multiples of the first member's multiply-adds."
        ),
        _command(size, "windows"),
        _list(said),
        image(pictures["windows.png"], "value over budgets"),
        tables,
        subheading("Certified at delta 0.1: coverage at the deployed threshold"),
        certified_table(certified),
    )


def _served(size: Size, part: Record, said: Sequence[str], pictures: Mapping[str, bytes]) -> str:
    return section(
        "4. In seconds",
        _prose(
            "Exported, served by one core, driven by another: rows/s and CPU time of the server at "
            f"saturation, 8 rows a request; latency and `CPU alone` of single rows at {part['rate']} "
            "requests a second. Multiples are of the same cascade stopped after its first stage."
        ),
        _command(size, "served"),
        _list(said),
        image(pictures["served.png"], "CPU time against multiply-adds"),
        served_table(part["cases"]),
    )


def limits(size: Size) -> list[str]:
    rows = "all 40,000" if size.train_rows is None else f"{size.train_rows:,}"
    return [
        f"The members are small ResNets trained for {size.epochs} epochs on {rows} train rows of one data "
        "set, on CPUs. They are far from what these networks can reach, and farther from the papers' "
        "ImageNet networks: at 5% risk such members accept fewer rows, and an ensemble has more to gain. "
        "Whether the orders found hold for large, well trained networks this study can't show.",
        f"{size.members} members a model make {size.members} cascades that share members, so the seeds' "
        "part of an interval is rather too narrow than too wide; with so few of them it is wide all the "
        "same.",
        "The family is not scaled as EfficientNets are: neighbours differ by 1.8 to 2.3 times in "
        "multiply-adds, where the paper's differ by 1.4 to 2.4.",
        "Selections are compared on a quarter of the train rows for a few epochs, with the recipe's "
        "augmentation and decay; the hard-batch paper's own setting (no augmentation, constant rate) is "
        "not this one.",
        "Intervals are 95% each and many are compared: of every twenty that show a difference where there "
        "is none, one would.",
        "Of CIFAR-100's classes others than the two left out come close to CIFAR-10's, too.",
    ]
