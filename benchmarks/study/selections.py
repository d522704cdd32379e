"""Part 2: does the choice of what is trained help an ensemble?

Members of one seed differ in the selection alone: first weights, augmentation and the order in which rows are
dealt to batches come from the same streams, and all make as many updates. An ensemble is of two members:
`alike`, both trained with the selection, or `behind plain`, the second alone, which is how a member made for
what the first forwards is meant to be used. In the hard-batch paper's own setting, which knows no ensembles,
each member is judged `alone`.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.contenders import COVERAGE, DETECTION, FULL, WINDOW, detection, play, selective_value
from benchmarks.study.estimates import Array, Draw, draws, estimate
from benchmarks.study.figures import ACCURACY, AURC, AUROC_FAR, AUROC_NEAR, COVERAGE_AT_RISK, WINDOW_COVERAGE
from benchmarks.study.members import PAIR, selection_run
from benchmarks.study.outputs import Archive, Outputs
from benchmarks.study.sizes import (
    AS_PUBLISHED,
    ASKED_AGAIN,
    AWARE,
    CLEAN,
    CONTROL,
    LABELS,
    NONE,
    PUBLISHED,
    SELECTIONS,
    Size,
)
from benchmarks.study.strange import FAMILIES, FAR, NEAR
from benchmarks.study.words import Record
from cascade.metrics import aurc, log_loss
from cascade.scores import softmax
from cascade.scores_file import ScoresFile
from training.runs import member_folder

ALIKE, BEHIND_PLAIN, ALONE = "alike", "behind plain", "alone"
ENSEMBLES = (ALIKE, BEHIND_PLAIN)


@dataclass(frozen=True)
class Asked:
    """Which ensembles: one for each seed."""

    labels: str
    selection: str
    ensemble: str
    seeds: range

    def by(self, selection: str) -> "Asked":
        return replace(self, selection=selection)


@dataclass(frozen=True)
class Arm:
    """`values` are (seeds, 1 + resamples) by figure, of the members that were trained with the selection, or
    of the pair."""

    asked: Asked
    values: Mapping[str, Array]
    members: tuple[Path, ...]


def selections(size: Size, archive: Archive, jobs: int) -> Record:
    """Records of arms, each with its differences to plain training and to a random choice as large: `arms` of
    the first seeds, `published` of these in the hard-batch paper's setting, `fresh` of the other seeds."""
    setting = size.selecting
    first = [
        Asked(labels, selection, ensemble, setting.first)
        for labels in LABELS
        for selection in SELECTIONS
        for ensemble in ENSEMBLES
        if not (selection == AWARE and ensemble == ALIKE)
    ]
    published = [
        Asked(PUBLISHED, selection, ALONE, setting.published)
        for selection in AS_PUBLISHED
        if setting.published
    ]
    fresh = [
        Asked(CLEAN, selection, BEHIND_PLAIN, setting.fresh) for selection in ASKED_AGAIN if setting.fresh
    ]
    runs = [
        selection_run(size, *arm, seed) for seed in range(setting.fresh.stop) for arm in setting.arms(seed)
    ]
    with ProcessPoolExecutor(jobs) as pool:
        # A chunk for each process, which so makes the images out of distribution once; new runs stand at the
        # end, and are dealt to all.
        dealt = [run for place in range(jobs) for run in runs[place::jobs]]
        list(pool.map(archive.outputs, dealt, chunksize=math.ceil(len(runs) / jobs)))
        futures = {
            asked: pool.submit(_arm, size, asked, _pairs(size, archive, asked)) for asked in (*first, *fresh)
        }
        futures |= {
            asked: pool.submit(_single_arm, size, asked, _singles(size, archive, asked))
            for asked in published
        }
        arms = {asked: future.result() for asked, future in futures.items()}
    # Behind a plain member a plain one makes the same pair as two alike: it is the baseline there, no arm.
    shown = [asked for asked in first if (asked.selection, asked.ensemble) != (NONE, BEHIND_PLAIN)]
    return {
        "arms": _records(arms, shown, size),
        "published": _records(arms, published, size),
        "fresh": _records(arms, fresh, size),
    }


def _records(arms: Mapping[Asked, Arm], shown: Sequence[Asked], size: Size) -> list[Record]:
    return [_record(arms[asked], size, arms[asked.by(NONE)], arms[asked.by(CONTROL)]) for asked in shown]


def _pairs(size: Size, archive: Archive, asked: Asked) -> list[Outputs]:
    return [_pair(size, archive, asked.labels, asked.selection, asked.ensemble, seed) for seed in asked.seeds]


def _arm(size: Size, asked: Asked, pairs: Sequence[Outputs]) -> Arm:
    of_selection = range(1, PAIR) if asked.ensemble == BEHIND_PLAIN else range(PAIR)
    runs = [selection_run(size, asked.labels, asked.selection, seed) for seed in asked.seeds]
    return Arm(
        asked=asked,
        values=_values(pairs, of_selection, asked.seeds, size.resamples),
        members=tuple(member_folder(run, member) for run in runs for member in of_selection),
    )


def _singles(size: Size, archive: Archive, asked: Asked) -> list[Outputs]:
    """Both members of each run, each alone."""
    runs = [archive.outputs(selection_run(size, asked.labels, asked.selection, seed)) for seed in asked.seeds]
    return [run.members([member]) for run in runs for member in range(PAIR)]


def _single_arm(size: Size, asked: Asked, singles: Sequence[Outputs]) -> Arm:
    """Of single members, each a seed of its own."""
    runs = [selection_run(size, asked.labels, asked.selection, seed) for seed in asked.seeds]
    rows = [_single_figures(single.test, size.resamples) for single in singles]
    return Arm(
        asked=asked,
        values={name: np.stack([row[name] for row in rows]) for name in rows[0]},
        members=tuple(member_folder(run, member) for run in runs for member in range(PAIR)),
    )


def _single_figures(test: ScoresFile, resamples: int) -> dict[str, Array]:
    accuracy, nll = _member_figures(test, 0, [draw.counts for draw in draws(test.num_rows, {}, resamples)])
    return {"member accuracy": accuracy, "member NLL": nll}


def _pair(size: Size, archive: Archive, labels: str, selection: str, ensemble: str, seed: int) -> Outputs:
    own = archive.outputs(selection_run(size, labels, selection, seed)).members(range(PAIR))
    if ensemble == ALIKE or selection == AWARE:
        return own
    plain = archive.outputs(selection_run(size, labels, NONE, seed))
    return plain.members([0]).beside(own.members([1]))


def _values(
    pairs: Sequence[Outputs], of_selection: Sequence[int], seeds: Sequence[int], resamples: int
) -> dict[str, Array]:
    test = pairs[0].test
    sizes = {name: test.ood_families.count(name) for name in FAMILIES}
    drawn = draws(test.num_rows, sizes, resamples)
    rows = [_figures(pair, of_selection, drawn, seed) for seed, pair in zip(seeds, pairs, strict=True)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _figures(
    pair: Outputs, of_selection: Sequence[int], drawn: Sequence[Draw], seed: int
) -> dict[str, Array]:
    """Each (1 + resamples,)."""
    full, window = play(FULL, COVERAGE, pair, seed), play(WINDOW, COVERAGE, pair, seed)
    strange = play(FULL, DETECTION, pair, seed)
    counts = [draw.counts for draw in drawn]
    ranked = [draw.counts[full.order] for draw in drawn]
    each = [_member_figures(pair.test, member, counts) for member in of_selection]
    probabilities = softmax(pair.test.outputs.astype(np.float64)).mean(axis=0)
    disagree = pair.test.outputs[0].argmax(axis=1) != pair.test.outputs[1].argmax(axis=1)
    return {
        "member accuracy": np.mean([accuracy for accuracy, _ in each], axis=0),
        "member NLL": np.mean([nll for _, nll in each], axis=0),
        ACCURACY: _means(full.is_correct, ranked),
        "NLL": _nll(probabilities, pair.test.labels, counts),
        "disagreement": _means(disagree, counts),
        AURC: np.array([aurc(full.rank, full.is_correct, weight) for weight in ranked]),
        COVERAGE_AT_RISK: np.array([selective_value(full, COVERAGE, draw) for draw in drawn]),
        WINDOW_COVERAGE: np.array([selective_value(window, COVERAGE, draw) for draw in drawn]),
        AUROC_NEAR: np.array([detection(strange, NEAR, draw) for draw in drawn]),
        AUROC_FAR: np.mean([[detection(strange, name, draw) for draw in drawn] for name in FAR], axis=0),
    }


def _member_figures(test: ScoresFile, member: int, counts: Sequence[Array]) -> tuple[Array, Array]:
    logits, labels = test.outputs[member].astype(np.float64), test.labels
    return _means(logits.argmax(axis=1) == labels, counts), _nll(softmax(logits), labels, counts)


def _means(hits: NDArray[np.bool_], counts: Sequence[Array]) -> Array:
    return np.array([np.average(hits, weights=weight) for weight in counts])


def _nll(probabilities: Array, labels: NDArray[np.int64], counts: Sequence[Array]) -> Array:
    of_label = probabilities[np.arange(len(labels)), labels]
    return np.array([log_loss(of_label, weight) for weight in counts])


def updates_to(folder: Path, accuracy: float) -> float:
    """Updates after which the member first validated at `accuracy` or better, known to the epoch; infinity
    where it never did."""
    reached = (int(row["updates"]) for row in epochs(folder) if float(row["validation_accuracy"]) >= accuracy)
    return next(reached, math.inf)


def epochs(folder: Path) -> list[dict[str, str]]:
    """A member's metrics, a line an epoch."""
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _record(arm: Arm, size: Size, plain: Arm, control: Arm) -> Record:
    target = size.selecting.target_accuracy[arm.asked.labels]
    updates = [updates_to(folder, target) for folder in arm.members]
    middle = median(updates)
    return {
        "labels": arm.asked.labels,
        "selection": arm.asked.selection,
        "ensemble": arm.asked.ensemble,
        "updates_to_target": None if math.isinf(middle) else middle,
        "reached": [sum(map(math.isfinite, updates)), len(updates)],
        "updates_per_epoch": int(epochs(arm.members[0])[0]["updates"]),
        "spent": _spent(arm.members),
        "figures": {
            name: asdict(estimate(values)) | {"seeds": values[:, 0].round(5).tolist()}
            for name, values in arm.values.items()
        },
        "against_plain": _differences(arm, plain),
        "against_random": _differences(arm, control),
    }


def _differences(arm: Arm, other: Arm) -> Record:
    return {name: asdict(estimate(values - other.values[name])) for name, values in arm.values.items()}


def _spent(members: Sequence[Path]) -> Record:
    """Of a member, in the mean: updates, samples forward and backward, seconds; and how much of a round's
    choice was in the round before (Jaccard)."""
    tables = [epochs(folder) for folder in members]
    last = {
        name: fmean(float(table[-1][name]) for table in tables)
        for name in ("updates", "samples_forward", "samples_backward", "seconds")
    }
    overlaps = [
        float(row["selection_overlap"]) for table in tables for row in table if row["selection_overlap"]
    ]
    return last | {"overlap": fmean(overlaps) if overlaps else None}
