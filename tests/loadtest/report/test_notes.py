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
    results = results_of(server, tmp_path, "window", ood=rows(tmp_path, "ood.npz"))
    agreement, cost = texts(results, Level.PASSED)
    assert agreement == "http and grpc agree in label, exit stage and accepted on all 10 rows of window"
    assert (
        cost == "cost: the MACs told by the answers are exactly those of the rows that the members executed"
    )
    exits, ood = texts(results, Level.FIGURE)
    assert exits == "exits per stage, window: 80.0% [49.0, 94.3] / 20.0% [5.7, 51.0]"
    assert ood.startswith("out-of-distribution rows accepted, of 10: window 50.0% [")
    assert texts(results, Level.WARNING) == []


def test_protocols_that_disagree(server: TinyServer, tmp_path: Path) -> None:
    server.garble_grpc = True
    results = results_of(server, tmp_path, "window", "first")
    assert results.disagreements == {"window": 10, "first": 10}
    assert texts(results, Level.WARNING) == [
        "http and grpc disagree in (label, exit stage, accepted); rows: window 10, first 10"
    ]


def test_a_cost_that_the_server_s_own_count_belies(server: TinyServer, tmp_path: Path) -> None:
    server.uncounted_rows = 1
    results = results_of(server, tmp_path, "first")
    check = results.cases[0].quality.cost_check
    assert check is not None
    assert (check.reported_macs, check.executed_macs) == (10.0, 9.0)
    http, grpc = texts(results, Level.WARNING)
    assert http == (
        "cost of first over http: the answers tell 10 MACs a row, the rows that the server's members "
        "executed 9 (-10.00%)"
    )
    assert grpc.startswith("cost of first over grpc")


def test_a_cost_that_cannot_be_checked(server: TinyServer, tmp_path: Path) -> None:
    server.is_statistics_broken, server.other_rows = True, 1
    results = results_of(server, tmp_path, "first", capacity_s=0)
    assert texts(results, Level.WARNING) == [
        "cost of first over http: the server's statistics could not be read; the cost could not be checked",
        "cost of first over grpc: other traffic reached the server; the cost could not be checked",
    ]
    assert not any(text.startswith("cost") for text in texts(results, Level.PASSED))


def test_a_plain_model_has_no_cost_to_check(server: TinyServer, tmp_path: Path) -> None:
    results = results_of(server, tmp_path, models=("tiny-0",), capacity_s=0)
    assert texts(results, Level.PASSED) == [
        "http and grpc agree in label, exit stage and accepted on all 10 rows of @server"
    ]
    assert texts(results, Level.FIGURE) == []


def test_the_degraded_share_is_of_the_answers(results: Results) -> None:
    statuses = {"ok": 10, "refused": 20, "timeout": 0, "broken": 0, "shed": 0}
    load = replace(results.cases[0].load, num_degraded=5, statuses=statuses)
    degraded = replace(results, cases=(replace(results.cases[0], load=load), *results.cases[1:]))
    assert "first over http: 50.0% of the answers under load were degraded" in texts(degraded, Level.WARNING)


def test_failures_under_load_are_told_with_the_first_of_them(server: TinyServer, tmp_path: Path) -> None:
    # Two requests are the censuses', 8 the warm-up's; so the load has those from 11 to 40, then 49 to 78.
    server.refuse_every = 20
    results = results_of(server, tmp_path, "first", capacity_s=0)
    told = sorted(texts(results, Level.WARNING))
    first = [text.partition("; first: ")[2] for text in told]
    assert sum("2 shed of 30 requests" in text for text in told) == 1
    assert sum("1 shed of 30 requests" in text for text in told) == 1
    assert {"503 (retry after 1 s): too busy", "UNAVAILABLE: too busy"} == set(first)


def test_a_generator_that_kept_up_is_told_and_one_that_did_not_is_told_elsewhere(
    results: Results, invalid: Results
) -> None:
    told = [note for note in notes(results) if "kept up" in note.text]
    assert [(note.level, note.text) for note in told] == [
        (
            Level.PASSED,
            "the generator kept up: p99 of its lag at most 0.25 ms, CPU at most 10% "
            "(limits: 1 ms, 80% of a core)",
        )
    ]
    assert not any("kept up" in note.text for note in notes(invalid))


def test_a_capacity_that_the_generator_limits(results: Results) -> None:
    case = results.cases[0]
    assert case.capacity is not None
    limited = replace(case, capacity=replace(case.capacity, generator_cpu_share=0.95))
    told = [note.text for note in notes(replace(results, cases=(limited, *results.cases[1:])))]
    assert ("capacity is a lower bound, the generator itself being near a full core: first over http") in told
