"""What cascades did in service, by a decision log: shares of all rows, and errors where labels are known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.case import interval_or_none
from cascade.decision_log import Group, LoggedRows, read_log
from cascade.intervals import share_interval
from cascade.labels_file import ROWS, Labels
from cascade.window import Mask


@dataclass(frozen=True)
class Labelled:
    """Rows with a label, by its `place` among the labels; `group` is the row's place among all groups."""

    place: NDArray[np.int64]
    group: NDArray[np.int64]
    correct: Mask
    accepted: Mask
    confidence: NDArray[np.float64]

    def where(self, chosen: Mask) -> "Labelled":
        return Labelled(*(column[chosen] for column in vars(self).values()))


@dataclass
class Tally:
    """Of the rows of one group: sums. `exits[k]` left at stage k + 1."""

    rows: int = 0
    accepted: int = 0
    degraded: int = 0
    confidence: float = 0.0
    exits: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, rows: LoggedRows, chosen: Mask) -> None:
        self.rows += int(chosen.sum())
        self.accepted += int(rows.accepted[chosen].sum())
        self.degraded += int(rows.degraded[chosen].sum())
        self.confidence += float(rows.confidence[chosen].sum())
        exits = np.bincount(rows.exit_stage[chosen] - 1, minlength=len(self.exits))
        exits[: len(self.exits)] += self.exits
        self.exits = exits
        counts = np.bincount(rows.reason[chosen], minlength=len(rows.reasons)).tolist()
        for reason, count in zip(rows.reasons, counts, strict=True):
            if count:
                self.reasons[reason] = self.reasons.get(reason, 0) + count


def live_figures(files: Sequence[Path], labels: Labels | None = None) -> dict[str, Any]:
    """Figures of each model, cascade version and policy in the files of a decision log.

    A label holds for the row in whatever model saw it. Where one model's log has a row twice, nobody knows
    which one the label is for, so that both go without. Rows of one request may resemble each other, and
    intervals allow for it.
    """
    read = _Read(labels)
    for file in files:
        for rows in read_log(file):
            read.add(rows)
    found = read.labelled()
    labelled, num_ambiguous = _certain(found, read.models())
    return {
        "log": {"files": len(files), **read.extent()},
        "labels": None if labels is None else _use_of(labels, found, num_ambiguous),
        "policies": [
            _figures(group, read.tallies[group], labelled.where(labelled.group == number), labels)
            for number, group in sorted(enumerate(read.tallies), key=lambda numbered: numbered[1])
        ],
    }


class _Read:
    """What was read so far. Groups are numbered as they come."""

    def __init__(self, labels: Labels | None) -> None:
        self.tallies: dict[Group, Tally] = {}
        self._labels = labels
        self._labelled: list[Labelled] = []
        self._times: list[np.datetime64] = []

    def add(self, rows: LoggedRows) -> None:
        self._times += [rows.time.min(), rows.time.max()]
        for number, group in enumerate(rows.groups):
            self.tallies.setdefault(group, Tally()).add(rows, rows.group == number)
        if self._labels is None:
            return
        numbers = {group: number for number, group in enumerate(self.tallies)}
        found_in = np.array([numbers[group] for group in rows.groups])[rows.group]
        place = self._labels.places(rows.request_id, rows.row)
        correct = rows.label == self._labels.label[place]
        found = Labelled(place, found_in, correct, rows.accepted, rows.confidence)
        self._labelled.append(found.where(place >= 0))

    def labelled(self) -> Labelled:
        if not self._labelled:
            return Labelled(*(np.zeros(0, kind) for kind in (int, int, bool, bool, float)))
        columns = zip(*(vars(part).values() for part in self._labelled), strict=True)
        return Labelled(*map(np.concatenate, columns))

    def models(self) -> NDArray[np.int64]:
        """A number for the model of each group."""
        names = [model for model, _, _ in self.tallies]
        return np.array([names.index(name) for name in names], np.int64)

    def extent(self) -> dict[str, Any]:
        rows = sum(tally.rows for tally in self.tallies.values())
        ends = (min(self._times), max(self._times)) if self._times else (None, None)
        return {"rows": rows, **dict(zip(("from", "to"), map(_iso, ends), strict=True))}


def _iso(time: np.datetime64 | None) -> str | None:
    if time is None:
        return None
    seconds = int(time.astype("datetime64[us]").astype(np.int64)) / 1e6
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _certain(labelled: Labelled, models: NDArray[np.int64]) -> tuple[Labelled, int]:
    """Without the rows that one model's log has more than once, and how many those are."""
    num_places = labelled.place.max(initial=-1) + 1
    key = models[labelled.group] * num_places + labelled.place
    _, index, counts = np.unique(key, return_inverse=True, return_counts=True)
    is_single = counts[index] == 1
    return labelled.where(is_single), int((~is_single).sum())


def _use_of(labels: Labels, labelled: Labelled, num_ambiguous: int) -> dict[str, int]:
    """`unknown` are labels of rows that no log has, `ambiguous` rows whose label may be another's."""
    return {
        "labels": len(labels),
        "repeated": labels.num_repeated,
        "unknown": len(labels) - len(np.unique(labelled.place)),
        "ambiguous": num_ambiguous,
    }


def _figures(group: Group, tally: Tally, labelled: Labelled, labels: Labels | None) -> dict[str, Any]:
    """Null where there are no rows to tell."""
    model, version, policy = group
    figures: dict[str, Any] = {
        "model": model,
        "cascade_version": version,
        "policy": policy,
        "rows": tally.rows,
        "labelled": len(labelled.place),
        "labelled_accepted": int(labelled.accepted.sum()),
        "coverage": tally.accepted / tally.rows,
        "coverage_of_labelled": _mean(labelled.accepted),
        "confidence": tally.confidence / tally.rows,
        "confidence_of_labelled": _mean(labelled.confidence),
        "degraded": tally.degraded / tally.rows,
        "exits": (tally.exits / tally.rows).tolist(),
        "exit_reasons": {reason: count / tally.rows for reason, count in sorted(tally.reasons.items())},
    }
    accepted = labelled.where(labelled.accepted)
    shares = {"risk": (~accepted.correct, accepted), "accuracy": (labelled.correct, labelled)}
    figures |= {name: _mean(hits) for name, (hits, _) in shares.items()}
    figures["intervals"] = {name: _interval(hits, of, labels) for name, (hits, of) in shares.items()}
    return figures


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def _interval(hits: Mask, of: Labelled, labels: Labels | None) -> list[float] | None:
    """Where no request has two of the rows they are independent."""
    if labels is None:
        return None
    requests = labels.key[of.place] // ROWS
    has_several = len(np.unique(requests)) < len(requests)
    return interval_or_none(share_interval(hits, requests if has_several else None))
