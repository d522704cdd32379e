from pathlib import Path

import numpy as np
import pytest

from loadtest.traffic.difficulty import HardBursts
from loadtest.traffic.load import LoadConfig, RowsPerRequest
from loadtest.traffic.rate import constant_rate
from loadtest.traffic.schedule import draw_schedule, scheduled


def load(rate: float = 100.0, least: int = 1, most: int | None = None, **changes: object) -> LoadConfig:
    size = RowsPerRequest(least=least, most=most or least)
    config = {"rate": constant_rate(rate), "duration_s": 20.0, "seed": 5, "rows_per_request": size, **changes}
    return LoadConfig(**config)  # type: ignore[arg-type]


@pytest.mark.parametrize("arrivals", ["poisson", "constant", "gamma"])
def test_same_seed_same_schedule_and_another_seed_another(arrivals: str) -> None:
    first, again, other = (draw_schedule(load(arrivals=arrivals, seed=seed), 30) for seed in (5, 5, 6))
    assert np.array_equal(first.intended_s, again.intended_s)
    assert np.array_equal(first.rows, again.rows)
    assert not np.array_equal(first.rows, other.rows)


def test_every_row_is_sent_once_before_any_is_sent_twice() -> None:
    schedule = draw_schedule(load(10.0, 6, duration_s=1.0), 20)
    assert schedule.num_rows.tolist() == [6] * 10
    for begin in (0, 20, 40):
        assert sorted(schedule.rows[begin : begin + 20].tolist()) == list(range(20))


def test_another_rate_meets_the_same_rows_in_the_same_order() -> None:
    slow, fast = (draw_schedule(load(rate, duration_s=1.0), 20).rows for rate in (10.0, 30.0))
    assert np.array_equal(slow, fast[:10])


def test_the_number_of_rows_is_drawn_evenly() -> None:
    schedule = draw_schedule(load(200.0, 1, 4), 30)
    sizes, counts = np.unique(schedule.num_rows, return_counts=True)
    assert sizes.tolist() == [1, 2, 3, 4]
    assert counts / len(schedule) == pytest.approx([0.25] * 4, abs=0.03)
    assert [len(rows) for rows in schedule] == schedule.num_rows.tolist()


def test_spells_and_shares_keep_each_request_s_rows() -> None:
    rows = [np.array([0]), np.array([1, 2]), np.array([3, 4, 5]), np.array([6])]
    schedule = scheduled(np.array([0.0, 1.0, 2.0, 3.0]), rows)
    spell = schedule.between(1.0, 3.0)
    assert spell.intended_s.tolist() == [0.0, 1.0]
    assert [part.tolist() for part in spell] == [[1, 2], [3, 4, 5]]
    share = schedule.taken(slice(1, None, 2))
    assert share.intended_s.tolist() == [1.0, 3.0]
    assert [part.tolist() for part in share] == [[1, 2], [6]]
    assert list(schedule.between(5.0, 6.0)) == []


def test_a_trace_takes_the_place_of_the_rate(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("0.5\n0.75\n9\n")
    schedule = draw_schedule(load(trace=tmp_path / "trace.csv", duration_s=5.0), 30)
    assert schedule.intended_s.tolist() == [0.0, 0.25]


RANKS = np.linspace(0.0, 1.0, 40)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.6, 0.6), (1.0, 1.0)])
def test_the_dial_sets_the_share_of_hard_rows(share: float, expected: float) -> None:
    schedule = draw_schedule(load(hard_share=share), 40, RANKS)
    assert (RANKS[schedule.rows] >= 0.75).mean() == pytest.approx(expected, abs=0.03)


def test_hard_bursts_are_hard_and_the_time_between_is_as_the_samples_are() -> None:
    schedule = draw_schedule(load(hard_bursts=HardBursts(on_s=1.0, period_s=4.0)), 40, RANKS)
    is_hard = RANKS[schedule.rows] >= 0.75
    on = schedule.intended_s % 4.0 >= 3.0
    assert is_hard[on].all()
    assert is_hard[~on].mean() == pytest.approx(0.25, abs=0.04)
