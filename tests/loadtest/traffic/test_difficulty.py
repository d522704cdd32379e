import numpy as np
import pytest

from loadtest.errors import ConfigError, SamplesError
from loadtest.traffic.difficulty import HardBursts, check_dial, difficulty, is_hard, parse_hard_bursts


def test_difficulty_is_the_share_of_rows_that_the_first_stage_is_surer_of() -> None:
    reference = np.array([0.5, 0.6, 0.7, 0.8])
    ranks = difficulty(np.array([0.4, 0.65, 0.8, 0.9]), reference)
    assert ranks.tolist() == [1.0, 0.5, 0.125, 0.0]


def test_the_hardest_quarter_of_the_reference_is_hard() -> None:
    sureness = np.arange(100) / 100
    assert is_hard(difficulty(sureness, sureness)).tolist() == [True] * 25 + [False] * 75


def test_bursts_are_on_at_the_end_of_each_period() -> None:
    bursts = parse_hard_bursts("2/10")
    assert bursts == HardBursts(on_s=2.0, period_s=10.0)
    assert bursts.is_on(np.array([0.0, 7.9, 8.0, 9.9, 10.0, 18.5])).tolist() == [
        False,
        False,
        True,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("text", ["2", "10/2", "0/5", "a/b", "-1/3"])
def test_what_are_no_bursts_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--hard-bursts"):
        parse_hard_bursts(text)


def test_a_dial_that_the_samples_can_t_follow_is_refused() -> None:
    easy, hard = np.zeros(3), np.ones(3)
    check_dial(easy, 0.0)
    check_dial(hard, 1.0)
    with pytest.raises(SamplesError, match="no row of the samples is hard"):
        check_dial(easy, 0.5)
    with pytest.raises(SamplesError, match="no row of the samples is hard"):
        check_dial(easy, 0.0, has_bursts=True)
    with pytest.raises(SamplesError, match="every row of the samples is hard"):
        check_dial(hard, 0.5)
