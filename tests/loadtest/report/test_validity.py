from dataclasses import replace

from loadtest.config import Generation
from loadtest.figures.results import Results
from loadtest.figures.statistics import GeneratorCheck
from loadtest.report.validity import explanation, invalid_cases, remedies
from tests.loadtest.report.conftest import checked


def test_a_valid_run_has_nothing_to_explain(results: Results) -> None:
    assert invalid_cases(results) == []
    assert explanation(results) == ""


def test_the_worst_is_named_among_those_that_lagged(results: Results) -> None:
    first, second, *others = results.cases
    cases = (
        replace(first, load=replace(first.load, generator=GeneratorCheck(lag_p99_ms=3.5, cpu_share=0.2))),
        replace(second, load=replace(second.load, generator=GeneratorCheck(lag_p99_ms=0.5, cpu_share=0.9))),
    )
    assert explanation(replace(results, cases=(*cases, *others))) == (
        "the generator did not keep up in 2 of 6 cases, so that latencies may be its own rather than the "
        "server's: p99 of its lag up to 3.50 ms (first over http), CPU up to 90% (first over grpc); "
        "limits: 1 ms, 80% of a core"
    )


def test_a_busy_generator_needs_company_and_a_late_one_a_core_of_its_own(results: Results) -> None:
    config = replace(results.campaign.config, generation=Generation(processes=2))
    results = replace(results, campaign=replace(results.campaign, config=config))
    busy = checked(results, GeneratorCheck(lag_p99_ms=9.0, cpu_share=0.99))
    late = checked(results, GeneratorCheck(lag_p99_ms=9.0, cpu_share=0.1))
    assert remedies(busy)[0] == "--processes 4 (now 2)"
    assert remedies(late)[0] == "another machine, or cores of its own, for the generator"
    assert sorted(remedies(busy)) == sorted(remedies(late))
    assert "a lower --rate" in remedies(late)
