"""A comparison written down: for people, for a spreadsheet, and for machines.

report.md         a table for each set of labels, and how to read it
curves.png        the picture
summary.csv       a row an arm
results.csv       a row an arm and seed
curves.csv        a row an evaluation
comparison.json   everything; format_version 1
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from training.atomic import replacing
from training.compare.pictures import draw_comparison
from training.compare.results import Result
from training.compare.statistics import (
    CONFIDENCE,
    ArmSummary,
    Difference,
    Spread,
    by_labels,
    updates_to_target,
)

FORMAT_VERSION = 1
NONE = "–"
# A spread of the differences below this is that of rounding: all seeds moved alike.
NO_WIDTH = 1e-9
# What arms may differ in cost by and still count as equally dear.
SAME_COST = 1.02

Row = dict[str, Any]


def write_report(
    folder: Path,
    results: Sequence[Result],
    summaries: Sequence[ArmSummary],
    *,
    title: str,
    command: str,
    budget: str,
    baseline: str | None,
    target_accuracy: float | None,
    machine: str,
    settings: Mapping[str, object],
) -> None:
    """Writes all files of the report, each whole or not at all, report.md last.

    Accuracies are shares in [0, 1] in the files and percent in the report.
    """
    circumstances: Row = {
        "title": title,
        "command": command,
        "budget": budget,
        "baseline": baseline,
        "target_accuracy": target_accuracy,
        "machine": machine,
        "settings": dict(settings),
    }
    figure = draw_comparison(results, summaries, baseline=baseline, target_accuracy=target_accuracy)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    contents = {
        "curves.png": picture.getvalue(),
        "summary.csv": _csv([summary.to_row() for summary in summaries]),
        "results.csv": _csv([_result_row(result, target_accuracy) for result in results]),
        "curves.csv": _csv([row for result in results for row in result.curve_rows()]),
        "comparison.json": _document(circumstances, results, summaries),
        "report.md": _report(circumstances, results, summaries).encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with replacing(folder / name) as file:
            file.write(content)


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _result_row(result: Result, target_accuracy: float | None) -> Row:
    reached = None if target_accuracy is None else updates_to_target(result, target_accuracy)
    return {**result.to_row(), "updates_to_target": reached}


def _document(circumstances: Row, results: Sequence[Result], summaries: Sequence[ArmSummary]) -> bytes:
    document = {
        "format_version": FORMAT_VERSION,
        **circumstances,
        "confidence": CONFIDENCE,
        "summaries": [{**s.to_row(), "updates_to_target": s.updates_to_target} for s in summaries],
        "results": [result.to_json() for result in results],
    }
    return _json(document).encode() + b"\n"


def _json(value: object) -> str:
    """Settings may be of any kind; numbers that JSON does not know are refused."""
    return json.dumps(value, indent=2, allow_nan=False, default=str)


def _report(circumstances: Row, results: Sequence[Result], summaries: Sequence[ArmSummary]) -> str:
    baseline, target = circumstances["baseline"], circumstances["target_accuracy"]
    groups = by_labels(summaries)
    lines = [
        f"# {circumstances['title']}\n",
        f"    {circumstances['command']}\n",
        f"- budget: {circumstances['budget']}",
        f"- baseline: {f'`{baseline}`' if baseline else 'not named'}",
        f"- target: {'not set' if target is None else f'validation accuracy {_target(target)}'}",
        f"- machine: {circumstances['machine']}\n",
        "![Validation accuracy over updates, and differences in test accuracy](curves.png)\n",
    ]
    for labels, group in groups.items():
        lines += [f"## Labels: {labels or 'as in the data set'}\n", *_table(group, baseline), ""]
        lines += [*(f"- {sentence}" for sentence in _readings(group, baseline)), ""]
    lines += ["## How to read it\n", *(f"- {text}" for text in _explanations(results, summaries, target)), ""]
    lines += ["## Settings\n", "```json", _json(circumstances["settings"]), "```"]
    return "\n".join(lines) + "\n"


def _table(group: Sequence[ArmSummary], baseline: str | None) -> list[str]:
    rows = [[cell(summary) for _, cell in COLUMNS] for summary in group]
    for row, summary in zip(rows, group, strict=True):
        if summary.arm.name == baseline:
            row[0], row[3], row[5] = f"**{row[0]}**", "baseline", "baseline"
    lines = [[heading for heading, _ in COLUMNS], ["---"] + ["---:"] * (len(COLUMNS) - 1), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


def _accuracy(spread: Spread) -> str:
    return f"{spread.mean * 100:.2f}%{_deviation(spread, 100, 2)}"


def _nll(spread: Spread) -> str:
    return f"{spread.mean:.4f}{_deviation(spread, 1, 4)}"


def _seconds(spread: Spread) -> str:
    return f"{spread.mean:,.1f}{_deviation(spread, 1, 1)}"


def _deviation(spread: Spread, factor: int, digits: int) -> str:
    return "" if spread.deviation is None else f" ± {spread.deviation * factor:.{digits}f}"


def _difference(difference: Difference | None, factor: int, digits: int) -> str:
    if difference is None:
        return NONE
    mean, low, high = (
        f"{value * factor:+.{digits}f}" for value in (difference.mean, difference.low, difference.high)
    )
    return f"{mean} [{low}, {high}]"


def _reached(summary: ArmSummary) -> str:
    """`> N` where at least half of the seeds did not reach the target within N updates."""
    if not summary.updates_to_target:
        return NONE
    median = summary.median_updates_to_target
    shown = f"> {summary.updates:,.0f}" if median is None else f"{median:,.0f}"
    return f"{shown} ({summary.num_reached} of {summary.num_seeds})"


def _share(share: float | None) -> str:
    return NONE if share is None else f"{share * 100:.1f}%"


COLUMNS: tuple[tuple[str, Callable[[ArmSummary], str]], ...] = (
    ("arm", lambda s: s.arm.name),
    ("seeds", lambda s: str(s.num_seeds)),
    ("test accuracy", lambda s: _accuracy(s.test_accuracy)),
    ("difference, points", lambda s: _difference(s.accuracy_difference, 100, 2)),
    ("test NLL", lambda s: _nll(s.test_nll)),
    ("difference", lambda s: _difference(s.nll_difference, 1, 4)),
    ("updates to target", _reached),
    ("samples forward", lambda s: f"{s.samples_forward:,.0f}"),
    ("backward", lambda s: f"{s.samples_backward:,.0f}"),
    ("seconds", lambda s: _seconds(s.seconds)),
    ("overlap", lambda s: _share(s.mean_overlap)),
    ("visits a row", lambda s: f"{s.visits_min}-{s.visits_max}"),
    ("never again", lambda s: _share(s.share_never_again)),
)


def _readings(group: Sequence[ArmSummary], baseline: str | None) -> list[str]:
    """What the differences of one set of labels say, and what they don't."""
    if baseline is None:
        return ["No arm is the baseline: none is shown to be better or worse than another.", *_work(group)]
    accuracy = {s.arm.name: s.accuracy_difference for s in group if s.accuracy_difference is not None}
    nll = {s.arm.name: s.nll_difference for s in group if s.nll_difference is not None}
    if not accuracy:
        return [f"No arm has two seeds in common with `{baseline}`: no difference is shown.", *_work(group)]
    return [
        _verdict("Test accuracy", accuracy, baseline, 1, lambda mean: f"{mean * 100:+.2f} points"),
        _verdict("Test NLL", nll, baseline, -1, lambda mean: f"{mean:+.4f}"),
        _resolution(accuracy),
        *_without_width(accuracy),
        *_chance(len(accuracy)),
        *_work(group),
    ]


def _verdict(
    measure: str,
    differences: Mapping[str, Difference],
    baseline: str,
    better: int,
    shown: Callable[[float], str],
) -> str:
    """`better` is the sign of a difference for the better."""
    told = {name: difference.mean for name, difference in differences.items() if difference.excludes_zero}
    sides = [
        f"{side} than `{baseline}`: {', '.join(f'{name} ({shown(told[name])})' for name in names)}"
        for side, sign in (("better", better), ("worse", -better))
        if (names := [name for name, mean in told.items() if mean * sign > 0])
    ]
    if rest := len(differences) - len(told):
        sides.append(f"{rest} of {len(differences)} intervals include zero, where no difference is shown")
    return f"{measure}: {'; '.join(sides)}."


def _resolution(differences: Mapping[str, Difference]) -> str:
    widths = {name: difference.half_width * 100 for name, difference in differences.items()}
    finest, coarsest = min(widths, key=widths.__getitem__), max(widths, key=widths.__getitem__)
    counts = sorted({len(difference.seeds) for difference in differences.values()})
    needed = f"{widths[coarsest]:.2f} points for {coarsest}"
    if finest != coarsest:
        needed = f"from {widths[finest]:.2f} points for {finest} to {needed}"
    return (
        f"Over {' or '.join(map(str, counts))} common seeds, a difference in test accuracy had to exceed the "
        f"half-width of its interval to be told from zero: {needed}. Smaller ones may be there, unseen."
    )


def _without_width(differences: Mapping[str, Difference]) -> list[str]:
    names = [name for name, difference in differences.items() if difference.half_width < NO_WIDTH]
    if not names:
        return []
    return [
        f"All seeds of {', '.join(names)} differ from the baseline by the same amount, so the interval "
        "has no width: that is chance or identity, not certainty."
    ]


def _chance(num_compared: int) -> list[str]:
    """Boole's inequality: the chance of any of k events is at most the sum of theirs."""
    if num_compared < 2:
        return []
    bound = min(1.0, num_compared * (1 - CONFIDENCE))
    return [
        f"{num_compared} arms were compared without correction for their number: if no arm differed, at "
        f"least one interval for accuracy would still exclude zero with a chance of up to {bound:.0%}."
    ]


def _work(group: Sequence[ArmSummary]) -> list[str]:
    """Whether the arms had equal budgets."""
    spans = []
    for name, values in (
        ("updates", [summary.updates for summary in group]),
        ("samples forward", [summary.samples_forward for summary in group]),
        ("samples backward", [summary.samples_backward for summary in group]),
        ("seconds", [summary.seconds.mean for summary in group]),
    ):
        if max(values) > SAME_COST * min(values):
            spans.append(f"{name} ({min(values):,.0f} to {max(values):,.0f})")
    return (
        [f"At this budget the arms did not spend the same: they differ in {', '.join(spans)}."]
        if spans
        else []
    )


def _explanations(
    results: Sequence[Result], summaries: Sequence[ArmSummary], target_accuracy: float | None
) -> list[str]:
    most = max(summary.num_seeds for summary in summaries)
    lines = [
        "± is the sample standard deviation over seeds. Differences are to the baseline on the same labels, "
        f"paired by seed, with Student's {CONFIDENCE:.0%} interval of their mean. An interval that includes "
        "zero shows no difference, which is not to show that there is none.",
        f"Over {most} seeds at most, an interval speaks of other seeds, not of other models, data or "
        "budgets; where the seeds share their test rows, the chance in these is left out too.",
        "Overlap is of consecutive selections (Jaccard); visits a row: of the least and of the most trained "
        "row; never again: the share of rows not trained after the first pass.",
        "Seconds depend on what else the machine did.",
    ]
    if target_accuracy is not None:
        step = max(
            b - a for run in results for a, b in pairwise([0, *(point.updates for point in run.curve)])
        )
        lines.append(
            f"Updates to target: up to the first evaluation at {_target(target_accuracy)} validation "
            f"accuracy or more, so known to {step:,} updates at best; the median over seeds, where never "
            "counts as infinite. `> N` tells that at least half of the seeds did not get there in N updates."
        )
    return lines


def _target(accuracy: float) -> str:
    return f"{accuracy * 100:.4g}%"
