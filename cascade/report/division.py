"""Rows to fit on and rows to judge on.

Policies from files bring what they have `seen`: the OOD families that they were fitted on, which judge
nothing as long as others are there. None is for policies that are all fitted here.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cascade.errors import FitError
from cascade.objectives.objective import Objective
from cascade.scores_file import ScoresFile

FIT_SHARE = 0.6
MIN_OOD = 2


@dataclass(frozen=True)
class Parts:
    """`note` says how the rows were divided, for whoever reads the figures. `seen` are families that judge
    although policies from files were fitted on them, because no others are there."""

    fit: ScoresFile
    judge: ScoresFile
    note: str
    seen: tuple[str, ...] = ()


def apart(
    scores: ScoresFile, test: ScoresFile, objective: Objective, seen: Collection[str] | None = None
) -> Parts:
    """Two files: one to fit on, the other to judge on."""
    check_ood(test, objective, "the rows to judge on")
    note = (
        f"Fitted on the {scores.num_rows:,} rows of the scores file, judged on the {test.num_rows:,} rows "
        "of the file given as --test, all of them."
    )
    shared = sorted(set(scores.families) & set(test.families)) if objective.uses_ood else []
    if shared:
        note += f" OOD rows of the same family are in both: {', '.join(shared)}."
    return _unseen(Parts(scores, test, note), objective, seen or ())


def divided(
    scores: ScoresFile, objective: Objective, seed: int, seen: Collection[str] | None = None
) -> Parts:
    """A seeded draw of groups: those of one source are never divided."""
    check_ood(scores, objective, "the scores file")
    rng = np.random.default_rng(seed)
    groups = np.arange(scores.num_rows) if scores.groups is None else scores.groups
    fits = _drawn(groups, rng)
    if fits.all() or not fits.any():
        raise FitError("the rows are of one group, which cannot be divided into rows to fit and to judge on")
    what = "rows" if scores.groups is None else f"rows ({len(np.unique(groups)):,} groups, none divided)"
    note = (
        f"The {scores.num_rows:,} {what} were divided by a draw with seed {seed}: {fits.sum():,} to fit on, "
        f"{(~fits).sum():,} to judge on. All figures and pictures are of the latter"
    )
    note += (
        ", which fitting never saw." if seen is None else "; policies from files may have seen any of them."
    )
    fit, judge = scores.rows(np.flatnonzero(fits)), scores.rows(np.flatnonzero(~fits))
    if not (objective.uses_ood and scores.num_ood):
        return _unseen(Parts(fit, judge, note), objective, seen or ())
    ood_fits, ood_note = _ood_division(scores, rng, seen or ())
    parts = Parts(
        fit.ood_rows(np.flatnonzero(ood_fits)),
        judge.ood_rows(np.flatnonzero(~ood_fits)),
        f"{note} {ood_note}",
    )
    return _unseen(parts, objective, seen or ())


def _unseen(parts: Parts, objective: Objective, seen: Collection[str]) -> Parts:
    """Judging on families that no policy from a file was fitted on, where there are any."""
    judge = parts.judge
    fitted = tuple(family for family in judge.families if family in seen)
    if not fitted:
        return parts
    others = judge.ood_of([family for family in judge.families if family not in seen])
    if objective.uses_ood and others.num_ood < MIN_OOD:
        return replace(parts, seen=fitted)
    note = f"Policies from files were fitted on OOD families {', '.join(fitted)}, which are left out."
    return replace(parts, judge=others, note=f"{parts.note} {note}")


def check_ood(scores: ScoresFile, objective: Objective, where: str) -> None:
    if objective.uses_ood and scores.num_ood < MIN_OOD:
        raise FitError(f"objective {objective} needs out-of-distribution rows, and {where} has none")


def _ood_division(
    scores: ScoresFile, rng: np.random.Generator, seen: Collection[str]
) -> tuple[NDArray[np.bool_], str]:
    """By family, so that policies are judged on what they were not fitted to; by row where there is one."""
    families = np.array(scores.ood_families)
    if len(scores.families) < 2:
        fits = _drawn(np.arange(scores.num_ood), rng)
        return fits, (
            f"Its {scores.num_ood:,} OOD rows are of one family, so they were divided row by row: the OOD "
            "figures tell of OOD rows like those fitted on, and say little of others."
        )
    known = np.isin(families, list(seen))
    fits = known if 0 < known.sum() <= len(known) - MIN_OOD else _drawn(families, rng)
    fitted, judged = (", ".join(sorted(set(families[rows].tolist()))) for rows in (fits, ~fits))
    return fits, f"OOD rows were divided by family: {fitted} to fit on, {judged} to judge on."


def _drawn(names: NDArray[np.generic], rng: np.random.Generator) -> NDArray[np.bool_]:
    distinct = np.unique(names)
    chosen = min(round(len(distinct) * FIT_SHARE), len(distinct) - 1)
    return np.isin(names, rng.permutation(distinct)[:chosen])
