"""Part 2: does the choice of what is trained help an ensemble?

Members of one seed differ in the selection alone: first weights, augmentation and the order in which rows are
dealt to batches come from the same streams, and all make as many updates. An ensemble is of two members:
`alike`, both trained with the selection, or `behind plain`, the second alone, which is how a member made for
what the first forwards is meant to be used.
"""

import csv
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.contenders import COVERAGE, DETECTION, FULL, WINDOW, detection, play, selective_value
from benchmarks.study.estimates import Array, Draw, draws, estimate
from benchmarks.study.members import PAIR, selection_run
from benchmarks.study.outputs import Archive, Outputs
from benchmarks.study.sizes import AWARE, LABELS, NONE, SELECTIONS, Size
from benchmarks.study.strange import FAMILIES, FAR, NEAR
from cascade.metrics import aurc, log_loss
from cascade.scores import softmax
from training.runs import member_folder

Record = dict[str, Any]

ALIKE, BEHIND_PLAIN = "alike", "behind plain"
# The first member of a cascade-aware pair is plain; two plain members are alike.
NO_ENSEMBLE = {ALIKE: (AWARE,), BEHIND_PLAIN: (NONE,)}


@dataclass(frozen=True)
class Arm:
    """`values` are (seeds, 1 + resamples) by figure; `updates` to the target, None where it was not
    reached."""

    labels: str
    selection: str
    ensemble: str
    values: Mapping[str, Array]
    updates: tuple[int | None, ...]


def selections(size: Size, archive: Archive, jobs: int) -> Record:
    asked = [
        (labels, selection, ensemble)
        for labels in LABELS
        for selection in SELECTIONS
        for ensemble in (ALIKE, BEHIND_PLAIN)
        if selection not in NO_ENSEMBLE.get(ensemble, ())
    ]
    for labels in LABELS:
        for selection in SELECTIONS:
            for seed in range(size.selecting.seeds):
                archive.outputs(selection_run(size, labels, selection, seed))
    with ProcessPoolExecutor(jobs) as pool:
        arms = list(pool.map(_arm, *zip(*((size, archive, *one) for one in asked), strict=True)))
    plain = {arm.labels: arm for arm in arms if arm.selection == NONE and arm.ensemble == ALIKE}
    return {"arms": [_record(arm, plain[arm.labels]) for arm in arms]}


def _arm(size: Size, archive: Archive, labels: str, selection: str, ensemble: str) -> Arm:
    seeds = range(size.selecting.seeds)
    pairs = [_pair(size, archive, labels, selection, ensemble, seed) for seed in seeds]
    of_selection = range(1, PAIR) if ensemble == BEHIND_PLAIN else range(PAIR)
    runs = [selection_run(size, labels, selection, seed) for seed in seeds]
    return Arm(
        labels=labels,
        selection=selection,
        ensemble=ensemble,
        values=_values(pairs, of_selection, size.resamples),
        updates=tuple(
            updates_to(member_folder(run, member), size.selecting.target_accuracy)
            for run in runs
            for member in of_selection
        ),
    )


def _pair(size: Size, archive: Archive, labels: str, selection: str, ensemble: str, seed: int) -> Outputs:
    own = archive.outputs(selection_run(size, labels, selection, seed)).members(range(PAIR))
    if ensemble == ALIKE or selection == AWARE:
        return own
    plain = archive.outputs(selection_run(size, labels, NONE, seed))
    return plain.members([0]).beside(own.members([1]))


def _values(pairs: Sequence[Outputs], of_selection: Sequence[int], resamples: int) -> dict[str, Array]:
    test = pairs[0].test
    sizes = {name: test.ood_families.count(name) for name in FAMILIES}
    drawn = draws(test.num_rows, sizes, resamples)
    rows = [_figures(pair, of_selection, drawn) for pair in pairs]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _figures(pair: Outputs, of_selection: Sequence[int], drawn: Sequence[Draw]) -> dict[str, Array]:
    """Each (1 + resamples,)."""
    full, window = play(FULL, COVERAGE, pair), play(WINDOW, COVERAGE, pair)
    strange = play(FULL, DETECTION, pair)
    counts = [draw.counts for draw in drawn]
    ranked = [draw.counts[full.order] for draw in drawn]
    each = [_member_figures(pair, member, counts) for member in of_selection]
    probabilities = softmax(pair.test.outputs.astype(np.float64)).mean(axis=0)
    disagree = pair.test.outputs[0].argmax(axis=1) != pair.test.outputs[1].argmax(axis=1)
    return {
        "member accuracy": np.mean([accuracy for accuracy, _ in each], axis=0),
        "member NLL": np.mean([nll for _, nll in each], axis=0),
        "accuracy": _means(full.is_correct, ranked),
        "NLL": _nll(probabilities, pair.test.labels, counts),
        "disagreement": _means(disagree, counts),
        "aurc": np.array([aurc(full.rank, full.is_correct, weight) for weight in ranked]),
        "coverage@5%risk": np.array([selective_value(full, COVERAGE, draw) for draw in drawn]),
        "window coverage@5%risk": np.array([selective_value(window, COVERAGE, draw) for draw in drawn]),
        "auroc near": np.array([detection(strange, NEAR, draw) for draw in drawn]),
        "auroc far": np.mean([[detection(strange, name, draw) for draw in drawn] for name in FAR], axis=0),
    }


def _member_figures(pair: Outputs, member: int, counts: Sequence[Array]) -> tuple[Array, Array]:
    logits, labels = pair.test.outputs[member].astype(np.float64), pair.test.labels
    return _means(logits.argmax(axis=1) == labels, counts), _nll(softmax(logits), labels, counts)


def _means(hits: NDArray[np.bool_], counts: Sequence[Array]) -> Array:
    return np.array([np.average(hits, weights=weight) for weight in counts])


def _nll(probabilities: Array, labels: NDArray[np.int64], counts: Sequence[Array]) -> Array:
    of_label = probabilities[np.arange(len(labels)), labels]
    return np.array([log_loss(of_label, weight) for weight in counts])


def updates_to(folder: Path, accuracy: float) -> int | None:
    """Updates after which the member first validated at `accuracy` or better; known to the epoch."""
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if float(row["validation_accuracy"]) >= accuracy:
                return int(row["updates"])
    return None


def _record(arm: Arm, plain: Arm) -> Record:
    reached = [updates for updates in arm.updates if updates is not None]
    return {
        "labels": arm.labels,
        "selection": arm.selection,
        "ensemble": arm.ensemble,
        "updates_to_target": median(reached) if reached else None,
        "reached": [len(reached), len(arm.updates)],
        "figures": {
            name: asdict(estimate(values)) | {"seeds": values[:, 0].round(5).tolist()}
            for name, values in arm.values.items()
        },
        "against_plain": {
            name: asdict(estimate(values - plain.values[name])) for name, values in arm.values.items()
        },
    }
