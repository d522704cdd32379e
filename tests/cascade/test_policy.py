"""Policies: what they hold, and what they refuse to be."""

import math

import pytest

from cascade.calibrator import Calibrator
from cascade.errors import PolicyError
from cascade.policy import ACCEPT_ALL, ACCEPT_NONE, Placement, Policy, Subset


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "guess"}, "unknown kind of policy 'guess'; there are: window"),
        ({"kind": "window"}, "windows has 0 entries where 1 belong"),
        ({"kind": "first", "thresholds": (0.5,)}, "thresholds has 1 entries where 0 belong"),
        ({"kind": "first", "accept_above": (0.5,)}, "accept_above has 1 entries where 2 belong"),
        ({"kind": "first", "score": "luck"}, "unknown score 'luck'"),
        ({"kind": "first", "accept_above": (0.5, math.nan)}, "accept_above holds a value that is no number"),
        (
            {"kind": "first", "accept_above_cut": (math.nan, 0.5)},
            "accept_above_cut holds a value that is no nu",
        ),
        ({"kind": "threshold", "thresholds": (math.nan,)}, "thresholds holds a value that is no number"),
        ({"kind": "first", "weights": ((1.0,), (1.0, 0.0))}, "weights must be positive"),
        ({"kind": "first", "temperatures": (1.0, math.nan)}, "temperatures must be positive"),
        ({"kind": "first", "ties": ((), ())}, "ties has 2 entries where 1 belong"),
        (
            {"kind": "first", "placements": (Placement(0.1, 0.5, 0.5),) * 2},
            "placements has 2 entries where 1",
        ),
        ({"kind": "first", "ranked_by": "luck"}, "ranked_by 'luck' is none of score, confidence"),
        ({"kind": "first", "tie_seed": -1}, "tie_seed must be 0 or more, got -1"),
        ({"kind": "first", "score": "class=-1"}, "score 'class=-1': '-1' is no class number"),
        ({"kind": "first", "score": "class="}, "'' is no class number"),
    ],
)
def test_a_policy_checks_itself(fields: dict[str, object], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Policy(num_stages=2, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("share", "anchor", "below"),
    [(-0.1, 0.5, 0.5), (1.1, 0.5, 0.5), (math.nan, 0.5, 0.5), (0.5, math.nan, 0.5), (0.5, 0.5, math.inf)],
)
def test_a_placement_checks_itself(share: float, anchor: float, below: float) -> None:
    with pytest.raises(PolicyError, match=r"a placement needs a share in \[0, 1\]"):
        Placement(share, anchor, below)


def test_sets_are_found_whatever_their_order() -> None:
    fitted = Subset(("c", "a"), 0.5, Calibrator((0.0,), (0.5,)))
    policy = Policy(kind="first", num_stages=2, accept_above=(0.1, 0.1), subsets=(fitted,))
    assert policy.subset(("a", "c")) is fitted
    assert policy.subset(("a",)) == Subset(("a",), ACCEPT_NONE)
    assert Policy(kind="first", num_stages=2).subset(("a",)) == Subset(("a",), ACCEPT_ALL)


def test_weights_and_temperatures_are_even_unless_given() -> None:
    plain = Policy(kind="first", num_stages=2)
    assert plain.weights_at(1, 3) == plain.temperatures_of(3) == (1.0, 1.0, 1.0)
    given = Policy(kind="first", num_stages=2, weights=((1.0,), (0.2, 0.8)), temperatures=(1.5, 2.0))
    assert given.weights_at(1, 2) == (0.2, 0.8)
    assert (given.temperatures_of(1), given.temperatures_of(2)) == ((1.5,), (1.5, 2.0))
