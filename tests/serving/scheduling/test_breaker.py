"""A member that fails is left out, tried again now and then, and taken back."""

import pytest

from serving.config import BreakerConfig
from serving.errors import StartupError
from serving.scheduling.breaker import Breaker, State

CONFIG = BreakerConfig(most_failures=3, retry_s=0.5, max_retry_s=1.5)


def broken(now_s: float = 0.0) -> Breaker:
    breaker = Breaker(CONFIG)
    assert [breaker.failed(now_s) for _ in range(3)] == [False, False, True]
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not() -> None:
    breaker = Breaker(CONFIG)
    for now_s in range(0, 40, 4):  # so far apart that no second has more than three
        assert not breaker.failed(now_s)
        assert not breaker.failed(now_s)
        breaker.succeeded(now_s)
    assert (breaker.state, breaker.num_opened) == (State.CLOSED, 0)
    assert broken().state is State.OPEN


def test_half_of_a_seconds_batches_open_it() -> None:
    breaker = Breaker(CONFIG)
    for number in range(4):
        breaker.succeeded(0.1 * number)
        assert not breaker.failed(0.1 * number)
    breaker.succeeded(0.5)
    assert breaker.failed(0.5)


def test_what_is_older_than_a_second_does_not_count() -> None:
    breaker = Breaker(CONFIG)
    for number in range(20):
        breaker.failed(number) if number % 2 else breaker.succeeded(number)
    assert breaker.state is State.CLOSED


def test_an_open_one_admits_nothing_until_it_is_time_and_then_one() -> None:
    breaker = broken()
    assert [breaker.admits(now_s) for now_s in (0.1, 0.49, 0.5, 0.51, 0.9)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert breaker.state is State.HALF_OPEN


def test_a_trial_that_is_answered_closes_it() -> None:
    breaker = broken()
    for _ in range(10):  # that were under way
        breaker.failed(0.1)
    assert breaker.admits(0.5)
    breaker.succeeded(0.6)
    assert breaker.state is State.CLOSED
    assert breaker.admits(0.6)
    assert not breaker.failed(0.7)  # what was before is forgotten


def test_a_trial_that_fails_opens_it_for_twice_as_long_up_to_a_bound() -> None:
    breaker, now_s, waits = broken(), 0.0, []
    for _ in range(4):
        begun_s = now_s
        while not breaker.admits(now_s):
            now_s += 0.125
        waits.append(now_s - begun_s)
        assert breaker.failed(now_s)
    assert waits == [0.5, 1.0, 1.5, 1.5]
    assert breaker.num_opened == 5


def test_a_trial_that_is_never_heard_of_is_repeated() -> None:
    breaker = broken()
    assert [breaker.admits(now_s) for now_s in (0.5, 0.9, 1.0)] == [True, False, True]


def test_what_was_under_way_when_it_opened_changes_nothing() -> None:
    breaker = broken()
    breaker.succeeded(0.1)
    assert not breaker.failed(0.2)
    assert (breaker.state, breaker.admits(0.4), breaker.admits(0.5)) == (State.OPEN, False, True)


@pytest.mark.parametrize(
    "name", ["slow_s", "slow_call_s", "slow_factor", "most_failures", "retry_s", "max_retry_s"]
)
def test_settings_that_make_no_sense_are_refused_by_name(name: str) -> None:
    with pytest.raises(StartupError, match=f"{name} is 0"):
        BreakerConfig(**{name: 0})
