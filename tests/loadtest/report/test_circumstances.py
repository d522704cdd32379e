from dataclasses import replace

from loadtest.config import CapacityConfig, Generation
from loadtest.figures.results import Results
from loadtest.report.circumstances import Circumstances, described


def test_what_was_compared_and_how_is_told(results: Results, around: Circumstances) -> None:
    terms = dict(described(results, around))
    assert terms["Command"] == "python -m loadtest"
    assert terms["Started"] == "02 January 2026, 03:04 UTC"
    assert terms["Machine of the generator"] == "c, 2 cores, s, Python 3"
    assert terms["Compared"] == "first, window and full over http and grpc; baseline: full"
    assert terms["Quality"].startswith("each of 10 test rows and 10 out-of-distribution rows sent to each")
    assert terms["Load"].startswith(
        "open loop, 100 requests/s of 1 row, Poisson arrivals, 0.3 s each: 30 requests, 30 rows, seed 0"
    )
    assert terms["Turns"] == "one after the other, in an order drawn at random"
    assert terms["Generator"] == "1 process"
    assert terms["Capacity"].startswith("closed loop, always 16 requests of 8 rows in flight, 0.2 s")


def test_blocks_processes_and_a_deadline_are_told(results: Results, around: Circumstances) -> None:
    campaign = results.campaign
    config = replace(
        campaign.config,
        load=replace(campaign.config.load, deadline_ms=20.0, block_s=0.1),
        generation=Generation(processes=3),
        capacity=CapacityConfig(seconds=0),
    )
    terms = dict(described(replace(results, campaign=replace(campaign, config=config)), around))
    assert terms["Turns"].startswith("3 time blocks of 0.1 s; in each block all take their turn")
    assert terms["Latency"].endswith("; the server is told a deadline of 20 ms")
    assert terms["Generator"] == "3 processes side by side"
    assert terms["Capacity"] == "not measured"
