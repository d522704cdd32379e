import numpy as np
import pytest

from training.selection.window import forwarded, threshold_rank


def rank_of(verdicts, scores=None):
    """`verdicts` from the lowest score to the highest: + right, - wrong."""
    is_correct = np.array([verdict == "+" for verdict in verdicts])
    scores = np.arange(len(verdicts), dtype=np.float64) if scores is None else np.array(scores)
    return threshold_rank(scores, is_correct)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        # All right: the lowest score is good enough.
        ("+" * 10, 0.0),
        ("-" * 10, 1.0),
        # From the top: 4 right, then 1 wrong of 5 and never again 5%.
        ("+----" + "-" + "++++", 0.6),
        # The most confident is wrong: only 1 wrong of 20 makes up for it.
        ("+" * 18 + "-", 1.0),
        ("+" * 19 + "-", 0.0),
        # 1 of 20 is 5%, 1 of 19 above it more; the next below is wrong too.
        ("--" + "+" * 18 + "-" + "+", 2 / 22),
        # Good, then bad, then good again: the lowest of the good counts.
        ("-" * 20 + "+" * 15 + "-" + "+" * 4, 0.5),
    ],
)
def test_the_rank_of_the_threshold_by_hand(verdicts, expected):
    assert rank_of(verdicts) == pytest.approx(expected)


def test_the_order_of_the_rows_is_nothing():
    verdicts, order = np.array(list("+----" + "-" + "++++")), np.random.default_rng(0).permutation(10)
    assert rank_of(verdicts[order], np.arange(10.0)[order]) == pytest.approx(0.6)


@pytest.mark.parametrize("verdicts", ["++-" + "+++", "-++" + "+++", "+-+" + "+++"])
def test_no_threshold_parts_equal_scores(verdicts):
    """Three at 0.5 with one wrong, three right at 0.9: either 3 rows are accepted or 6 with 1 wrong."""
    assert rank_of(verdicts, [0.5] * 3 + [0.9] * 3) == 0.5


@pytest.mark.parametrize(
    ("rank", "delta", "expected"),
    [
        # Ranks of the scores below: 3 0 4 1 2 5 7 6 8 9.
        (0.5, 0.4, [0, 2, 5, 7]),
        (0.5, 0.2, [2, 5]),
        (0.0, 0.3, [1, 3, 4]),
        (0.1, 0.3, [1, 3, 4]),
        (1.0, 0.3, [6, 8, 9]),
        (0.9, 0.4, [6, 7, 8, 9]),
        (0.3, 1.0, list(range(10))),
        (0.7, 0.01, [7]),
    ],
)
def test_the_window_around_the_threshold_by_hand(rank, delta, expected):
    ranks = np.array([3, 0, 4, 1, 2, 5, 7, 6, 8, 9])
    assert forwarded(ranks / 10, rank, delta).tolist() == expected
