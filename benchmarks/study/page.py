"""The report: `report.html`, its pictures, and a CSV for each part."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from benchmarks.study.claims import claims, winners
from benchmarks.study.contenders import OOD_SHARE
from benchmarks.study.figures import (
    ACCEPTING,
    ACCURACY,
    AURC_NEAR,
    AUROC_NEAR,
    COVERAGE_AT_RISK,
    DETECTING,
    FIGURES,
)
from benchmarks.study.findings import (
    scaling_findings,
    selection_findings,
    served_findings,
    window_findings,
)
from benchmarks.study.members import PAIR
from benchmarks.study.pictures import scaling_picture, selections_picture, served_picture, windows_picture
from benchmarks.study.selections import ALIKE, ALONE
from benchmarks.study.sizes import AWARE, LABELS, Selecting, Size
from benchmarks.study.tables import (
    DETECTED,
    JUDGED,
    OF_ACCEPTING,
    OF_MEMBERS,
    arms_table,
    claims_table,
    deployed_table,
    differences_table,
    equal_cost_table,
    judged_table,
    served_table,
    spent_table,
    windows_table,
)
from benchmarks.study.windows import ALL, OBJECTIVES
from benchmarks.study.words import CPU, SHORT, Record
from loadtest.report.document import document, header, image, section, subheading

CODE = re.compile("`([^`]+)`")
VERDICTS = (
    "Each claim is judged by the rule beside it, the same for every run of the study. Where no case "
    "differs by more than chance a claim can't be told. Differences are in points, with 95% intervals "
    "over seeds and images."
)
COMMAND = "python -m benchmarks.study --data-root DATA --human-labels CIFAR-10_human.npz --size"
COMPUTED = (
    "CPU is computed: the server's CPU time for each stage's model alone (part 4), times the rows that reach "
    "it."
)
UNSERVED = "Nothing here was served: costs are multiply-adds, and what these are in time the full study says."
ARM_FIGURES = (ACCURACY, COVERAGE_AT_RISK, AUROC_NEAR)


def write_page(folder: Path, size: Size, parts: Mapping[str, Record]) -> None:
    """`parts` holds the records of the parts that are done, by name."""
    pictures = {file: content for name, part in parts.items() for file, content in DRAW[name](part).items()}
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    text = page(size, parts, pictures)
    (folder / "report.html").write_text(text, encoding="utf-8")


DRAW: Mapping[str, Callable[[Record], dict[str, bytes]]] = {
    "scaling": lambda part: {
        "scaling.png": scaling_picture(part["judged"], COVERAGE_AT_RISK),
        "accuracy.png": scaling_picture(part["judged"], ACCURACY),
        "near-ood.png": scaling_picture(part["judged"], AUROC_NEAR),
        "mixed.png": scaling_picture(part["judged"], AURC_NEAR),
    },
    "selections": lambda part: {"selections.png": selections_picture(part["arms"], ARM_FIGURES)},
    "windows": lambda part: {"windows.png": windows_picture(part["cells"])},
    "served": lambda part: {"served.png": served_picture(part["cases"])},
}


def page(size: Size, parts: Mapping[str, Record], pictures: Mapping[str, bytes]) -> str:
    title = "Two papers, judged on CIFAR-10"
    missing = [f"`{name}`" for name in SECTIONS if size.has(name) and name not in parts]
    undone = f" Not done yet: {', '.join(missing)}." if missing else ""
    body = [
        header(title, f"{size.name} study · {', '.join(size.models)} · {size.members} seeds"),
        section("Which claims hold", _prose(VERDICTS + undone), claims_table(claims(parts))),
        *(SECTIONS[name](size, part, pictures) for name, part in parts.items()),
        section("What these sizes can show, and what not", _list(limits(size))),
    ]
    return document(title, body)


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{_marked(sentence)}</li>" for sentence in sentences) + "</ul>"


def _prose(words: str) -> str:
    return f"<p>{_marked(words)}</p>"


def _marked(words: str) -> str:
    """As HTML, with what stands between backticks as code."""
    return CODE.sub(r"<code>\1</code>", escape(words))


def _command(size: Size, part: str) -> str:
    return f"<p><code>{escape(f'{COMMAND} {size.name} --only {part},report')}</code></p>"


def selection_words(part: Record) -> list[str]:
    ahead = {"the first": winners(part["arms"])} | (
        {"fresh": winners(part["fresh"])} if part["fresh"] else {}
    )
    told = "; ".join(f"on {seeds} seeds {', '.join(won) or 'none'}" for seeds, won in ahead.items())
    said = "" if any(ahead.values()) else ", which speaks for `none`, the default of `python -m training`"
    return [
        *selection_findings(part),
        "Ahead of plain training and of a random choice as large in coverage or accuracy, and behind plain "
        f"training in neither, with clean labels: {told}{said}.",
    ]


def _scaling(size: Size, part: Record, pictures: Mapping[str, bytes]) -> str:
    judged = part["judged"]
    within = [each for each in part["differences"] if each["model"] == each["against_model"]]
    beyond = [each for each in part["differences"] if each["model"] != each["against_model"]]
    costs = " and ".join(SHORT[unit] for unit in part["fronts"])
    computed = f" {COMPUTED}" if CPU in part["fronts"] else ""
    units = " and in computed CPU time (CPU)" if CPU in part["fronts"] else ""
    return section(
        "1. Ensembles and cascades against scaled single models",
        _prose(
            f"{size.members} members of each model, alike but for their seed; a cascade's first stage is "
            "each of them in turn. Policies are fitted on the calibration split: for coverage at 5% risk "
            "and risk at 80% coverage on MSP, for out-of-distribution (OOD) rows, FPR at 95% TPR, on "
            "energy. Two stages within 1.2 times the multiply-adds of one member, three within 1.3. "
            f"Judged on the test rows; the lower line of a cell is the 95% interval.{computed}"
        ),
        _command(size, "scaling"),
        _list(scaling_findings(part)),
        image(pictures["scaling.png"], "coverage at 5% risk against cost"),
        subheading("Against a single of the next larger model"),
        _prose(
            "The next larger model is the next that is more accurate than all cheaper ones. Differences "
            f"in points (AURC as it is), paired by image; {costs} as multiples of the single's."
        ),
        differences_table(beyond),
        subheading("Against single models of the same cost"),
        _prose(
            "Between two neighbouring singles their figures are interpolated over the logarithm of the "
            f"cost, in multiply-adds (columns MACs){units}. Contenders dearer than the largest single have "
            "nothing beside them."
        ),
        equal_cost_table(part["at_equal_cost"]),
        subheading("Against one member and all members of the same model"),
        differences_table(within),
        subheading("All contenders"),
        judged_table(judged, JUDGED, ACCEPTING),
        _prose(
            f"With OOD mixed in, {OOD_SHARE:.0%} of the traffic is out of distribution, and to accept "
            "such a row is an error. Costs are those of the policy for coverage; each picture has "
            "the cost of the policy that it shows, OOD rows counted where they are mixed in."
        ),
        image(pictures["accuracy.png"], "accuracy against cost"),
        image(pictures["near-ood.png"], "near OOD against cost"),
        image(pictures["mixed.png"], "AURC with OOD mixed in against cost"),
        subheading("Each kind of out-of-distribution rows"),
        _prose(
            "Policies are fitted with patches of photographs as strangers, and judged on families that "
            "they have not seen: CIFAR-100's test set but for bus and pickup truck (near); enlarged "
            "digits, noise, and textures (far). Costs are those of the policy for OOD rows."
        ),
        judged_table(judged, DETECTED, DETECTING),
    )


def _selections(size: Size, part: Record, pictures: Mapping[str, bytes]) -> str:
    setting = size.selecting
    targets = " and ".join(f"{target:.0%} ({labels})" for labels, target in setting.target_accuracy.items())
    tables = "".join(
        subheading(f"{labels.capitalize()} labels{what}")
        + arms_table([arm for arm in part["arms"] if arm["labels"] == labels], figures)
        for labels in LABELS
        for what, figures in (("", OF_MEMBERS), (": accepting and rejecting", OF_ACCEPTING))
    )
    of_members = (*part["arms"], *part["published"])
    alone = [arm for arm in of_members if arm["ensemble"] in (ALIKE, ALONE) or arm["selection"] == AWARE]
    return section(
        "2. Does the choice of batches help an ensemble?",
        _prose(
            f"Pairs of {setting.model}, {setting.train_rows:,} train rows, {setting.epochs} epochs of "
            "updates for each member whatever the selection, learning rate to zero within them, half of "
            f"the batches in a round, {setting.seeds} seeds. cascade-aware takes one half of the rows for "
            "the whole training, that nearest to the first member's threshold at 5% risk: where this one "
            "accepts less than a quarter of the rows, the half that it is surest of. `alike`: both members "
            "are trained with the selection; `behind plain`: the second alone. Noisy labels are "
            "CIFAR-10N's `worse_label` (40% wrong), on the train rows only; weights are those of the "
            "best epoch by clean validation labels. Below each value stands the "
            "difference to plain members of the same seeds and places, with its 95% interval."
        ),
        _command(size, "selections"),
        _list(selection_words(part)),
        image(pictures["selections.png"], "differences to plain training"),
        tables,
        *(_published(setting, part["published"]) if part["published"] else []),
        *(_fresh(setting, part["fresh"]) if part["fresh"] else []),
        subheading("What a member took"),
        _prose(
            f"Updates until a member first validated at {targets}, known to the epoch: the median, and "
            "how many of all came there. Seconds are of a machine that did other work, too. Overlap: how "
            "much of a round's choice was in the one before."
        ),
        spent_table(alone),
    )


def _published(setting: Selecting, arms: Sequence[Record]) -> list[str]:
    return [
        subheading("In the hard-batch paper's own setting"),
        _prose(
            "ResNet-18 as torchvision builds it, by the recipe `paper-resnet18`: SGD at a constant rate, no "
            "augmentation, no decay, batches of 64 that are fixed for the run (of plain training dealt anew "
            f"in every epoch), all 40,000 train rows, {setting.published_epochs} epochs of updates, "
            f"{PAIR * setting.published_seeds} members, each judged alone. The paper names neither its rate "
            "nor its epochs."
        ),
        arms_table(arms, OF_MEMBERS[:2]),
    ]


def _fresh(setting: Selecting, arms: Sequence[Record]) -> list[str]:
    return [
        subheading("Asked again on fresh seeds"),
        _prose(
            f"What looked promising above, beside what it must beat, on {setting.fresh_seeds} seeds that are "
            "in nothing above; clean labels."
        ),
        arms_table(arms, (*OF_ACCEPTING[:3], ACCURACY, "NLL")),
    ]


def _windows(size: Size, part: Record, pictures: Mapping[str, bytes]) -> str:
    cells = [cell for cell in part["cells"] if cell["model"] == ALL]
    tables = "".join(
        subheading(FIGURES[objective].title.capitalize())
        + windows_table([cell for cell in cells if cell["objective"] == objective])
        for objective in OBJECTIVES
    )
    return section(
        "3. Windows against thresholds at equal cost",
        _prose(
            "Two members of each model, every seed first once; means over models. `paper` is the rule of "
            "the window paper, `ours` what cross-validation on the calibration rows prefers. The oracle's "
            "gate knows for each row what each exit would give. Values are read off the test rows' own "
            "curve; budgets are multiples of the first member's multiply-adds. A gain is in the figure's "
            "good direction. Gap: how much of the way from the first member alone to the oracle is gone."
        ),
        _command(size, "windows"),
        _list(window_findings(part)),
        image(pictures["windows.png"], "value over budgets"),
        tables,
        subheading("At the deployed threshold: estimated, and certified at delta 0.1"),
        _prose(
            "Coverage, and below it the risk on the test rows and in how many pairs it is above 5%. A "
            "certificate is about fresh rows; what is seen here has the test rows' own noise in it. Costs "
            "are those on the test rows."
        ),
        deployed_table([cell for cell in cells if cell["certified"]]),
    )


def _served(size: Size, part: Record, pictures: Mapping[str, bytes]) -> str:
    return section(
        "4. In seconds",
        _prose(
            "Exported, served by one core, driven by another: rows/s and CPU time of the server at "
            f"saturation, 8 rows a request; latency and `CPU alone` of single rows at {part['rate']} "
            "requests a second. Multiples are of the same cascade stopped after its first stage."
        ),
        _command(size, "served"),
        _list(served_findings(part)),
        image(pictures["served.png"], "CPU time against multiply-adds"),
        served_table(part["cases"]),
    )


SECTIONS: Mapping[str, Callable[[Size, Record, Mapping[str, bytes]], str]] = {
    "scaling": _scaling,
    "selections": _selections,
    "windows": _windows,
    "served": _served,
}


def limits(size: Size) -> list[str]:
    rows = "all 40,000" if size.train_rows is None else f"{size.train_rows:,}"
    setting = size.selecting
    noise = " and the noise of measured CPU times are" if size.is_served else " is"
    published = f"beside it for {setting.published_epochs} epochs of one network and one data set alone"
    beside = published if setting.published_seeds else "not this one"
    return [
        f"The members are small ResNets trained for {size.epochs} epochs on {rows} train rows of one data "
        f"set, on {size.device}. They are far from what these networks can reach, and farther from the "
        "papers' ImageNet networks: at 5% risk such members accept fewer rows, and an ensemble has more to "
        "gain. Whether what is found holds for large, well trained networks this study can't show.",
        f"{size.members} members of a model make {size.members} cascades that share members; their seeds' "
        "variance is taken to be at least that of single members. With so few seeds intervals are wide. "
        f"The draw of the calibration rows, one for all,{noise} in no interval.",
        "The family is not scaled as EfficientNets are: of neighbours the dearer one may be no better, and "
        "multiply-adds of narrow layers cost more time than those of wide ones.",
        f"Selections are compared on {setting.train_rows:,} train rows for {setting.epochs} epochs, with "
        "the recipe's augmentation, decay and falling rate; the hard-batch paper's own setting (larger "
        f"networks, no augmentation, constant rate) is {beside}.",
        *([] if size.is_served else [UNSERVED]),
        "Many comparisons are made at 95% each: of twenty where there is no difference about one shows one.",
        "Of CIFAR-100's classes others than the two left out come close to CIFAR-10's, too.",
    ]
