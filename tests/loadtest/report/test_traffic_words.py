from pathlib import Path

import pytest

from loadtest.report.traffic_words import difficulty_in_words, load_in_words, rate_in_words
from loadtest.traffic.difficulty import HardBursts
from loadtest.traffic.load import LoadConfig, RowsPerRequest
from loadtest.traffic.rate import parse_rate


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("200", "200 requests/s"),
        ("200,200", "200 requests/s"),
        ("100..400", "a ramp of 100 to 400 requests/s (250 on average)"),
        ("50, 50..150,50", "equal spells of 50, then 50 to 150, then 50 requests/s (66.67 on average)"),
    ],
)
def test_a_rate_is_told_as_it_was_meant(text: str, words: str) -> None:
    assert rate_in_words(LoadConfig(rate=parse_rate(text))) == words


def test_load_names_rows_arrivals_and_length() -> None:
    assert load_in_words(LoadConfig()) == "200 requests/s of 1 row, Poisson arrivals, 30 s each"
    bursty = LoadConfig(arrivals="gamma", burstiness=4, rows_per_request=RowsPerRequest(least=1, most=16))
    assert load_in_words(bursty) == (
        "200 requests/s of 1-16 rows, bursty arrivals (gamma gaps, coefficient of variation 4), 30 s each"
    )
    trace = LoadConfig(trace=Path("some/where/day.csv"))
    assert load_in_words(trace) == "the arrivals of day.csv, 1 row a request"


def test_difficulty_is_told_where_it_is_dialled() -> None:
    assert difficulty_in_words(LoadConfig()) == ""
    dialled = LoadConfig(hard_share=0.4, hard_bursts=HardBursts(on_s=2, period_s=10))
    assert difficulty_in_words(dialled).startswith(
        "40% of the rows hard and every row hard in the last 2 of every 10 s; hard is"
    )
