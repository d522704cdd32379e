from dataclasses import replace
from pathlib import Path

from loadtest.figures.results import Results
from loadtest.report.notes import Level, notes
from tests.loadtest.tiny_campaign import results_of, rows
from tests.loadtest.tiny_server import TinyServer


def texts(results: Results, level: Level) -> list[str]:
    """But for what a busy machine makes of the generator."""
    return [n.text for n in notes(results) if n.level is level and "generator" not in n.text]


def test_checks_that_pass_are_told(server: TinyServer, tmp_path: Path) -> None:
    results = results_of(server, tmp_path, "--policies", "window", "--ood", str(rows(tmp_path, "ood.npz")))
    agreement, cost = texts(results, Level.PASSED)
    assert agreement.startswith("http and grpc agree in label, exit stage and accepted on all 10 rows")
    assert (
        cost == "cost: the MACs told by the answers are exactly those of the rows that the members executed"
    )
    exits, ood = texts(results, Level.FIGURE)
    assert exits == "exits per stage, window: 80.0% [49.0, 94.3] / 20.0% [5.7, 51.0]"
    assert ood.startswith("out-of-distribution rows accepted, of 10: window 50.0% [")
    assert texts(results, Level.WARNING) == []


def test_protocols_that_disagree(server: TinyServer, tmp_path: Path) -> None:
    server.garble_grpc = True
    results = results_of(server, tmp_path, "--policies", "window,first")
    assert results.disagreements == {"window": 10, "first": 10}
    assert texts(results, Level.WARNING) == [
        "http and grpc disagree in (label, exit stage, accepted); rows: window 10, first 10"
    ]


def test_a_cost_that_the_server_s_own_count_belies(server: TinyServer, tmp_path: Path) -> None:
    server.uncounted_rows = 1
    results = results_of(server, tmp_path, "--policies", "first")
    check = results.cases[0].quality.cost_check
    assert (check.reported_macs, check.executed_macs) == (10.0, 9.0)
    http, grpc = texts(results, Level.WARNING)
    assert http == (
        "cost of first over http: the answers tell 10 MACs a row, the rows that the server's members "
        "executed 9 (-10.00%)"
    )
    assert grpc.startswith("cost of first over grpc")


def test_a_cost_that_cannot_be_checked(server: TinyServer, tmp_path: Path) -> None:
    server.is_statistics_broken, server.other_rows = True, 1
    results = results_of(server, tmp_path, "--policies", "first", "--capacity-seconds", "0")
    assert [case.quality.cost_check.is_match for case in results.cases] == [None, None]
    assert texts(results, Level.WARNING) == [
        "cost of first over http: the server's statistics could not be read; the cost could not be checked",
        "cost of first over grpc: other traffic reached the server; the cost could not be checked",
    ]
    assert not any(text.startswith("cost") for text in texts(results, Level.PASSED))


def test_the_degraded_share_is_of_the_answers(server: TinyServer, tmp_path: Path) -> None:
    results = results_of(server, tmp_path, "--policies", "first", "--capacity-seconds", "0")
    statuses = {"ok": 10, "refused": 20, "timeout": 0, "broken": 0}
    load = replace(results.cases[0].load, num_degraded=5, statuses=statuses)
    degraded = replace(results, cases=(replace(results.cases[0], load=load),))
    assert "first over http: 50.0% of the answers under load were degraded" in texts(degraded, Level.WARNING)


def test_failures_under_load_are_told_with_the_first_of_them(server: TinyServer, tmp_path: Path) -> None:
    # Two requests are the censuses', 8 the warm-up's; so the load has those from 11 to 40, then 49 to 78.
    server.refuse_every = 20
    results = results_of(server, tmp_path, "--policies", "first", "--capacity-seconds", "0")
    told = texts(results, Level.WARNING)
    assert told[0] == "first over http: 2 refused of 30 requests; first: 503: too busy"
    assert told[1] == "first over grpc: 1 refused of 30 requests; first: UNAVAILABLE: too busy"
