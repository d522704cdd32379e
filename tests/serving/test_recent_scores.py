"""The ring holds the last scores, whatever the sizes they come in."""

import numpy as np
import pytest

from serving.recent_scores import MOST_ROWS, RecentScores


@pytest.mark.parametrize(
    "sizes", [[3], [1] * 5, [MOST_ROWS], [MOST_ROWS - 1, 3], [2 * MOST_ROWS + 7, 5], [0, 4, 0]]
)
def test_it_holds_the_last(sizes: list[int]) -> None:
    recent, seen = RecentScores(), np.arange(sum(sizes), dtype=np.float64)
    for part in np.split(seen, np.cumsum(sizes)[:-1]):
        recent.add(part)
    np.testing.assert_array_equal(np.sort(recent.copy()), seen[-MOST_ROWS:])


def test_a_copy_stays_as_it_was() -> None:
    recent = RecentScores()
    assert len(recent.copy()) == 0
    recent.add(np.array([0.5]))
    before = recent.copy()
    recent.add(np.full(MOST_ROWS, 0.25))
    assert before.tolist() == [0.5]
