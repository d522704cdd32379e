"""What becomes of the papers' claims follows from the figures."""

import pytest

from benchmarks.study.claims import FAILS, HOLDS, IN_PART, OPEN, claims, judged_by
from benchmarks.study.findings import kept_of, selection_findings, winners
from tests.benchmarks.study.parts import estimated, made_parts


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["better", "better"], HOLDS),
        (["better", "worse"], IN_PART),
        (["better", "same"], IN_PART),
        (["worse", "same"], FAILS),
        (["same", "same"], OPEN),
    ],
)
def test_verdicts_of_cases(verdicts: list[str], expected: str) -> None:
    assert judged_by(verdicts) == expected


def test_each_claim_is_judged() -> None:
    found = {claim.text: claim for claim in claims(made_parts())}
    by_start = {text[:44]: claim.verdict for text, claim in found.items()}
    assert by_start == {
        "A cascade of two small members accepts more ": FAILS,
        "Such a cascade is as good as the next larger": HOLDS,
        "A fifth more multiply-adds buy 73% to 97% of": HOLDS,
        "Windows bring the ensemble's gain in telling": HOLDS,
        "At equal cost a window accepts more at 5% ri": HOLDS,
        "There is room above the paper's rule, and ou": OPEN,
        "Hard-batch selection reaches a fixed accurac": FAILS,
        "Hard-batch selection makes better members (a": FAILS,
        "It makes better ensembles (accuracy)": FAILS,
        "It makes better ensembles (coverage at 5% ri": FAILS,
        "Multiply-adds saved are time saved: a window": HOLDS,
    }
    equal = [claim.verdict for text, claim in found.items() if text.startswith("A cascade of two")]
    assert equal == [HOLDS, FAILS]
    assert "+2.0 [+1.0 to +3.0] points" in next(iter(found.values())).evidence


def test_the_share_of_the_gain_that_is_kept() -> None:
    kept = kept_of(made_parts()["scaling"], "coverage@5%risk")
    assert kept == {"small": pytest.approx(0.8), "large": pytest.approx(0.8)}


def test_a_selection_wins_by_more_than_chance_or_not_at_all() -> None:
    part = made_parts()["selections"]
    assert winners(part) == []
    assert "so `none` is the default" in list(selection_findings(part))[-1]
    arm = next(arm for arm in part["arms"] if (arm["selection"], arm["labels"]) == ("least-recent", "clean"))
    arm["against_plain"]["accuracy"] = estimated(0.02)
    assert winners(part) == ["least-recent"]
    arm["against_plain"]["coverage@5%risk"] = estimated(-0.02)
    assert winners(part) == []
