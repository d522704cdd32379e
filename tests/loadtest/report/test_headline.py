from dataclasses import replace
from pathlib import Path
from typing import Any

from loadtest.figures.results import Results
from loadtest.figures.statistics import GeneratorCheck
from loadtest.report.headline import cards, lead, subtitle, title
from tests.loadtest.tiny_campaign import results_of
from tests.loadtest.tiny_server import TinyServer


def judged(results: Results, **changes: Any) -> Results:
    """With the judged contender changed."""
    cases = tuple(replace(c, **changes) if c.contender == "window" else c for c in results.cases)
    return replace(results, cases=cases)


def test_the_lead_tells_the_share_that_stops_at_the_first_stage(results: Results) -> None:
    text = lead(results)
    assert text.startswith("Under ‘window’, 80.0% of the rows stop at the first stage")
    assert "costs 1.60× the first stage on average; 50.0% of the rows are accepted, 20.0% of them" in text
    assert "Running every member on every row costs 4.00×" in text


def test_cards_stand_beside_those_of_the_case_that_runs_all_members(results: Results) -> None:
    (cost,) = [card for card in cards(results) if card.name == "cost, × stage 1"]
    assert (cost.value, cost.beside) == ("1.60×", "full: 4.00×")


def test_cards_keep_the_mark_of_a_limited_generator(results: Results) -> None:
    case = results.of("window")
    assert case.capacity is not None
    limited = judged(
        results,
        load=replace(case.load, generator=GeneratorCheck(lag_p99_ms=5.0, cpu_share=0.1)),
        capacity=replace(case.capacity, generator_cpu_share=0.95),
    )
    marked = {card.name for card in cards(limited) if card.value.endswith("*")}
    assert marked == {"rows/s at saturation", "p99 latency, ms"}


def test_no_risk_is_told_where_nothing_is_accepted(results: Results) -> None:
    quality = results.of("window").quality
    nobody = judged(results, quality=replace(quality, risk=replace(quality.risk, value=float("nan"))))
    assert [card.value for card in cards(nobody) if card.name == "risk of the accepted"] == ["–"]
    assert "; no row is accepted. Running" in lead(nobody)


def test_a_plain_model_is_told_without_stages(server: TinyServer, tmp_path: Path) -> None:
    results = results_of(server, tmp_path, models=("tiny-0",), capacity_s=0)
    assert title(results) == "tiny-0: how it holds under load"
    assert subtitle(results) == "plain model"
    assert (
        lead(results)
        == "@server runs whole on every row; 100.0% of the rows are accepted, 10.0% of them wrong."
    )
    assert {card.name for card in cards(results)} == {
        "accuracy",
        "coverage",
        "risk of the accepted",
        "p99 latency, ms",
    }


def test_a_cascade_is_told_by_its_version_and_stages(results: Results) -> None:
    assert title(results) == "tiny: what early exits cost and save"
    assert subtitle(results) == "cascade version 3, 2 stages, 2 members"
