import numpy as np
import pytest

from loadtest.figures.timeline import bin_edges, timeline
from loadtest.generator.load_samples import LoadSamples
from loadtest.wire.client import Status
from tests.loadtest.report.made_samples import made_samples


def samples() -> LoadSamples:
    """Two blocks of 3 s. In the first, requests at 0.0, 0.1 and 2.5 s, answered in 10, 20 and 900 ms, the
    last so too late for its block; in the second, at 0.2 s, one shed, and at 1.2 s one that timed out."""
    return made_samples(
        block=[0, 0, 0, 1, 1],
        intended_s=[0.0, 0.1, 2.5, 0.2, 1.2],
        done_s=[0.01, 0.12, 3.4, 0.21, 11.2],
        status=[Status.OK, Status.OK, Status.OK, Status.SHED, Status.TIMEOUT],
        exit_stage=[1, 2, 1, 0, 0],
    )


def test_blocks_stand_one_after_the_other() -> None:
    line = timeline(samples(), 6.0, 3.0, 2)
    assert line.edges_s == pytest.approx(np.linspace(0, 6, 61))
    offered = np.flatnonzero(line.offered)
    assert line.edges_s[offered] == pytest.approx([0.0, 0.1, 2.5, 3.2, 4.2])
    assert line.offered[offered] == pytest.approx([10.0] * 5)


def test_an_answer_counts_when_it_comes_and_within_its_block() -> None:
    line = timeline(samples(), 6.0, 3.0, 2)
    assert line.edges_s[np.flatnonzero(line.answered)] == pytest.approx([0.0, 0.1])


def test_exits_are_shares_of_the_answered_rows() -> None:
    line = timeline(samples(), 6.0, 3.0, 2)
    assert line.exits[:, :2].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert np.isnan(line.exits[:, 32]).all()


def test_percentiles_are_infinite_where_there_is_no_answer_and_unknown_where_no_request() -> None:
    line = timeline(samples(), 6.0, 3.0, 2)
    assert line.p99_ms[[0, 1, 25]] == pytest.approx([10.0, 20.0, 900.0])
    assert np.isposinf(line.p99_ms[32])
    assert np.isnan(line.p50_ms[3])


def test_what_was_shed_is_told_from_what_failed() -> None:
    line = timeline(samples(), 6.0, 3.0, 2)
    assert np.flatnonzero(line.num_shed).tolist() == [32]
    assert np.flatnonzero(line.num_failed).tolist() == [42]


@pytest.mark.parametrize(
    ("offered_s", "width_s", "number"),
    [(6.0, 0.1, 60), (30.0, 0.5, 60), (600.0, 10.0, 60), (3600.0, 60.0, 60)],
)
def test_bins_are_round_and_few(offered_s: float, width_s: float, number: int) -> None:
    edges_s = bin_edges(offered_s)
    assert len(edges_s) - 1 == number
    assert edges_s[1] == width_s
    assert edges_s[-1] == offered_s


def test_a_sliver_at_the_end_goes_to_the_last_bin() -> None:
    assert bin_edges(20.1)[-3:].tolist() == pytest.approx([19.0, 19.5, 20.1])
