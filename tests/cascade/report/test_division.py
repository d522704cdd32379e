"""Rows to fit on and rows to judge on share no group and no OOD family."""

import numpy as np
import pytest

from cascade.errors import FitError
from cascade.objectives.parse import parse_objective
from cascade.report.division import apart, divided
from tests.cascade.report.rows import rows

RISK = parse_objective("coverage@risk=0.05")
FPR = parse_objective("fpr@tpr=0.9")


def test_sixty_percent_of_the_groups_are_fitted_on_and_none_is_divided() -> None:
    parts = divided(rows(), RISK, seed=3)
    assert (parts.fit.num_rows, parts.judge.num_rows) == (360, 240)
    assert parts.fit.groups is not None
    assert parts.judge.groups is not None
    assert not set(parts.fit.groups) & set(parts.judge.groups)
    assert "360 to fit on, 240 to judge on" in parts.note


def test_the_seed_decides_which() -> None:
    one, same, other = (divided(rows(), RISK, seed).judge.labels for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_ood_families_are_judged_that_were_not_fitted_on() -> None:
    parts = divided(rows(), FPR, seed=0)
    assert set(parts.fit.families) | set(parts.judge.families) == {"noise", "more-noise"}
    assert not set(parts.fit.families) & set(parts.judge.families)
    assert "divided by family" in parts.note


def test_a_single_family_is_divided_by_row_and_the_note_warns() -> None:
    parts = divided(rows().ood_of(["noise"]), FPR, seed=0)
    assert (parts.fit.num_ood, parts.judge.num_ood) == (36, 24)
    assert "one family" in parts.note


def test_all_ood_rows_are_judged_where_the_fit_does_not_look_at_them() -> None:
    assert divided(rows(), RISK, seed=0).judge.num_ood == 120


def test_two_files_stand_as_they_are_and_shared_families_are_named() -> None:
    parts = apart(rows(), rows(200, seed=1), FPR)
    assert (parts.fit.num_rows, parts.judge.num_rows) == (600, 200)
    assert parts.note.endswith("in both: more-noise, noise.")


@pytest.mark.parametrize("seed", range(4))
def test_families_that_policies_from_files_were_fitted_on_judge_nothing(seed: int) -> None:
    parts = divided(rows(), FPR, seed, {"noise"})
    assert (parts.fit.families, parts.judge.families, parts.seen) == (("noise",), ("more-noise",), ())
    assert "fitting never saw" not in parts.note
    parts = apart(rows(), rows(200, seed=1), FPR, {"noise"})
    assert (parts.judge.families, parts.seen) == (("more-noise",), ())
    assert divided(rows(), RISK, seed, {"noise", "more-noise"}).judge.num_ood == 0


def test_where_no_other_family_is_left_it_is_said() -> None:
    parts = apart(rows(), rows(200, seed=1), FPR, {"noise", "more-noise"})
    assert parts.judge.num_ood == 120
    assert parts.seen == ("noise", "more-noise")


def test_ood_rows_that_the_objective_needs_must_be_there() -> None:
    with pytest.raises(FitError, match="needs out-of-distribution rows, and the rows to judge on has none"):
        apart(rows(), rows(num_ood=0), FPR)


def test_one_group_cannot_be_divided() -> None:
    scores = rows().rows(np.arange(4))
    with pytest.raises(FitError, match="one group"):
        divided(scores, RISK, seed=0)
