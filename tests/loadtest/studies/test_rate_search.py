from collections.abc import Callable
from typing import Any

import pytest

from loadtest.studies.rate_search import RateSearch, SearchLimits


def play(holds: Callable[[float], bool], **limits: Any) -> tuple[RateSearch, list[tuple[float, str]]]:
    search, tries = RateSearch(SearchLimits(**limits)), []
    while (following := search.try_next()) is not None:
        tries.append(following)
        search.tell(holds=holds(following[0]))
    return search, tries


def phases(tries: list[tuple[float, str]]) -> list[str]:
    return [phase for _, phase in tries]


@pytest.mark.parametrize("edge", [3.7, 99.0, 100.0, 730.0, 9_000.0])
def test_the_edge_is_found_within_the_precision(edge: float) -> None:
    search, tries = play(lambda rate: rate <= edge, precision=0.05)
    assert search.found is not None and search.failed is not None
    assert search.found <= edge < search.failed <= search.found * 1.05 * (1 + 1e-9)
    assert phases(tries)[-3:] == ["confirmation"] * 3
    assert [rate for rate, _ in tries[-3:]] == [search.found] * 3


def test_rates_double_then_are_bisected_by_their_ratio() -> None:
    _, tries = play(lambda rate: rate < 130, start=50.0, precision=0.5, confirmations=1)
    assert tries[:3] == [(50.0, "doubling"), (100.0, "doubling"), (200.0, "doubling")]
    assert tries[3] == (pytest.approx(141.42, abs=0.01), "bisection")


def test_the_search_stops_at_its_most() -> None:
    search, tries = play(lambda rate: True, start=50.0, most=300.0)
    assert [rate for rate, phase in tries if phase == "doubling"] == [50, 100, 200, 300]
    assert (search.found, search.failed) == (300.0, None)


def test_nothing_is_found_where_even_the_least_does_not_hold() -> None:
    search, tries = play(lambda rate: False, start=4.0, least=1.0)
    assert [rate for rate, _ in tries] == [4.0, 2.0, 1.0]
    assert search.found is None


def test_a_rate_that_does_not_hold_again_is_given_up_for_a_lower_one() -> None:
    """It held once by luck: above 80 every other try fails."""
    tries_above = 0

    def holds(rate: float) -> bool:
        nonlocal tries_above
        if rate <= 80:
            return True
        tries_above += rate <= 110
        return rate <= 110 and tries_above % 2 == 1

    search, _ = play(holds, start=50.0)
    assert search.found is not None and 80 / 1.05 <= search.found <= 80


def test_a_server_that_answers_by_chance_does_not_hold_the_search_up() -> None:
    count = 0

    def holds(rate: float) -> bool:
        nonlocal count
        count += 1
        return count % 3 != 0

    _, tries = play(holds)
    assert len(tries) <= 60
