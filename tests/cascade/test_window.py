"""Windows, ties and the coin that divides them."""

import math

import numpy as np
import pytest

from cascade.errors import PolicyError
from cascade.window import NOTHING, Tie, Window, coin, digest

DIGESTS = [104626081185490701, 11989137102556719373]
COINS = [0.6357271280011438, 0.7978433880121462]


def rows(number: int, classes: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (number, classes)).astype(np.float32)


def test_both_ends_belong_to_a_window() -> None:
    score = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    assert Window(0.2, 0.4).contains(score).tolist() == [False, True, True, True, False]
    assert Window(-math.inf, 0.2).contains(score).tolist() == [True, True, False, False, False]
    assert Window(0.3, math.inf).contains(score).tolist() == [False, False, True, True, True]
    assert not NOTHING.contains(np.r_[score, math.inf, -math.inf]).any()


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(PolicyError, match="has an end that is no number"):
        Window(math.nan, 1.0)
    for score, share in ((math.inf, 0.5), (math.nan, 0.5), (0.5, 1.1), (0.5, -0.1), (0.5, math.nan)):
        with pytest.raises(PolicyError, match=r"a tie needs a finite score and a share in \[0, 1\]"):
            Tie(score, share)
    assert (Tie(0.5, 0.0).share, Tie(0.5, 1.0).share) == (0.0, 1.0)


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.9, 1.0])
def test_the_coin_forwards_about_its_share(share: float) -> None:
    for seed in (0, 1, 12345):
        for stage in (0, 1, 5):
            forwarded = (coin(digest(rows(20_000)), seed, stage) < share).mean()
            assert forwarded == pytest.approx(share, abs=0.015)


def test_the_coin_is_even() -> None:
    tossed = coin(digest(rows(50_000)), 7, 0)
    assert 0 <= tossed.min() < 1e-3
    assert 1 - 1e-3 < tossed.max() < 1
    counts = np.histogram(tossed, 50, (0, 1))[0]
    assert np.square(counts - 1000).sum() / 1000 < 90, "chi-squared of 49 degrees, 0.9997 quantile"


def test_the_coin_is_even_on_outputs_that_hardly_differ() -> None:
    """As saturated members give them: zeros, and one logit counted up."""
    logits = np.zeros((4096, 10), np.float32)
    logits[:, 0] = 2000 + np.arange(4096) / 8
    assert (coin(digest(logits), 0, 0) < 0.5).mean() == pytest.approx(0.5, abs=0.03)


def test_coins_of_seeds_and_stages_are_unrelated() -> None:
    digests = digest(rows(20_000))
    tossed = [coin(digests, seed, stage) for seed in (0, 1) for stage in (0, 1)]
    correlation = np.corrcoef(tossed)
    assert np.abs(correlation - np.eye(4)).max() < 0.03


def test_the_order_of_classes_changes_no_digest() -> None:
    logits = rows(200, 17)
    order = np.random.default_rng(1).permutation(17)
    assert np.array_equal(digest(logits), digest(logits[:, order]))
    assert len(np.unique(digest(logits))) == 200


def test_a_row_alone_decides_its_digest() -> None:
    logits = rows(100)
    order = np.random.default_rng(1).permutation(100)
    assert np.array_equal(digest(logits)[order], digest(logits[order]))
    assert np.array_equal(digest(logits)[7:9], digest(logits[7:9]))
    assert np.array_equal(digest(np.asfortranarray(logits)), digest(logits))
    assert np.array_equal(digest(logits.astype(np.float64)), digest(logits))
    assert digest(np.array([[0.0, 1.0]])) == digest(np.array([[-0.0, 1.0]]))
    changed = logits.copy()
    changed[3, 2] = np.nextafter(changed[3, 2], np.float32(np.inf))
    assert (digest(changed) != digest(logits)).tolist() == [row == 3 for row in range(100)]


def test_digests_stay_what_they_are() -> None:
    """Rows that a server forwarded yesterday are forwarded today: the coin is part of a policy's meaning."""
    logits = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    assert digest(logits).tolist() == DIGESTS
    assert coin(digest(logits), 3, 1) == pytest.approx(COINS, abs=1e-15)


def test_any_seed_will_do() -> None:
    for seed in (0, 2**53, 2**64, 10**30):
        assert coin(digest(rows(5)), seed, 2).shape == (5,)
