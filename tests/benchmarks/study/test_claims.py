"""What becomes of the papers' claims follows from the figures."""

from typing import Any

import pytest

from benchmarks.study.claims import FAILS, HOLDS, IN_PART, MIXED, OPEN, claims, judged_by, winners
from tests.benchmarks.study.parts import estimated, made_parts


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["better", "better"], HOLDS),
        (["better", "worse"], MIXED),
        (["better", "same"], IN_PART),
        (["worse", "same"], FAILS),
        (["same", "same"], OPEN),
        ([], OPEN),
    ],
)
def test_verdicts_of_cases(verdicts: list[str], expected: str) -> None:
    assert judged_by(verdicts) == expected


def verdicts_of(parts: dict[str, Any], start: str) -> list[str]:
    return [claim.verdict for claim in claims(parts) if claim.text.startswith(start)]


def test_each_claim_is_judged() -> None:
    parts = made_parts()
    found = {claim.text: claim for claim in claims(parts)}
    by_start = {text[:44]: claim.verdict for text, claim in found.items()}
    assert by_start == {
        "A cascade of two small members accepts more ": FAILS,
        "Such a cascade is as good as the next larger": HOLDS,
        "A window at 1.2 times the cost keeps 81% and": OPEN,
        "At equal cost the paper's window accepts mor": HOLDS,
        "So does ours": HOLDS,
        "There is room above the paper's rule, and ou": OPEN,
        "Hard-batch selection reaches a fixed accurac": OPEN,
        "Hard-batch selection makes better members (a": FAILS,
        "It makes better ensembles of two (accuracy)": FAILS,
        "It makes better ensembles of two (AURC)": HOLDS,
        "In its paper's own setting (ResNet-18, const": OPEN,
        "There it makes better members by as many upd": FAILS,
        "Ours: a second member trained on the rows ne": OPEN,
        "It makes a better cascade of two, too (the s": OPEN,
        "Multiply-adds saved are time saved: a window": HOLDS,
    }
    assert [claim.verdict for text, claim in found.items() if text.startswith("A cascade of two")] == [
        HOLDS,
        FAILS,
    ]
    assert [claim.verdict for text, claim in found.items() if text.startswith("A window at")] == [HOLDS, OPEN]
    assert "+2.0 [+1.0 to +3.0] points" in next(iter(found.values())).evidence


def test_as_good_as_the_next_larger_allows_a_point_and_no_more() -> None:
    part = made_parts()
    across = [each for each in part["scaling"]["differences"] if each["against_model"] != each["model"]]
    verdicts = []
    for value, half in ((0.0, 0.009), (0.0, 0.02), (-0.02, 0.005)):
        for each in across:
            each["figures"]["coverage@5%risk"] = estimated(value, half)
        verdicts += verdicts_of(part, "Such a cascade")
    assert verdicts == [HOLDS, OPEN, FAILS]


def test_what_is_asked_again_is_judged_against_both_controls() -> None:
    part = made_parts()
    arm = next(arm for arm in part["selections"]["fresh"] if arm["selection"] == "cascade-aware")
    verdicts = []
    for plain, random in ((0.02, 0.02), (0.02, 0.0), (0.0, 0.02), (-0.02, 0.02), (0.02, -0.02)):
        arm["against_plain"]["coverage@5%risk"] = estimated(plain)
        arm["against_random"]["coverage@5%risk"] = estimated(random)
        verdicts += verdicts_of(part, "Ours: a second member")
    assert verdicts == [HOLDS, IN_PART, OPEN, FAILS, MIXED]


def test_where_nothing_is_asked_again_the_first_seeds_are_judged() -> None:
    part = made_parts()
    part["selections"] |= {"fresh": [], "published": []}
    arm = next(arm for arm in part["selections"]["arms"] if arm["selection"] == "cascade-aware")
    assert arm["labels"] == "clean"
    for against in ("against_plain", "against_random"):
        arm[against]["coverage@5%risk"] = estimated(0.02)
    assert verdicts_of(part, "Ours: a second member") == [HOLDS]
    assert verdicts_of(part, "In its paper's own setting") == []


def test_without_cpu_time_equal_cost_is_of_multiply_adds() -> None:
    part = made_parts()
    del part["scaling"]["fronts"]["cpu_ms"]
    assert verdicts_of(part, "A cascade of two small members") == [HOLDS]


def test_sooner_means_by_more_than_an_epoch() -> None:
    part = made_parts()
    hard, plain = (
        next(
            arm for arm in part["selections"]["arms"] if (arm["selection"], arm["labels"]) == (name, "clean")
        )
        for name in ("hard-batch", "none")
    )
    verdicts = []
    for updates in (950, 890, 1200, None):
        hard["updates_to_target"], plain["updates_to_target"] = updates, 1000
        verdicts += verdicts_of(part, "Hard-batch selection reaches")
    assert verdicts == [OPEN, IN_PART, FAILS, FAILS]


def test_time_is_saved_by_cascades_of_one_model_alone() -> None:
    part = made_parts()
    for case in part["served"]["cases"]:
        if case["cascade"] == "large-int8":
            case["cpu_ratio"] = 9.0
    assert claims(part)[-1].verdict == HOLDS
    for case in part["served"]["cases"]:
        if case["cascade"] == "large":
            case["cpu_ratio"] = 1.14 * case["cost"]
    assert claims(part)[-1].verdict == IN_PART


def test_a_selection_wins_by_more_than_chance_or_not_at_all() -> None:
    arms = made_parts()["selections"]["arms"]
    assert winners(arms) == []
    arm = next(arm for arm in arms if (arm["selection"], arm["labels"]) == ("least-recent", "clean"))
    arm["against_plain"]["accuracy"] = estimated(0.02)
    assert winners(arms) == []
    arm["against_random"]["accuracy"] = estimated(0.02)
    assert winners(arms) == ["least-recent"]
    arm["against_plain"]["coverage@5%risk"] = estimated(-0.02)
    assert winners(arms) == []
