from pathlib import Path

import numpy as np
import pytest

from loadtest.errors import ConfigError
from loadtest.traffic.arrivals import draw_arrivals, read_trace
from loadtest.traffic.rate import constant_rate, parse_rate


def gaps(kind: str, burstiness: float = 1.0) -> np.ndarray:
    times = draw_arrivals(kind, constant_rate(500.0), 20.0, burstiness, np.random.default_rng(5))
    assert len(times) == 10_000
    assert times[0] >= 0 and times[-1] < 20.0
    return np.diff(times)


def test_constant_arrivals_are_evenly_spaced_from_zero() -> None:
    times = draw_arrivals("constant", constant_rate(4.0), 1.5, 1.0, np.random.default_rng(0))
    assert times.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]


def test_poisson_arrivals_keep_the_rate_and_have_exponential_gaps() -> None:
    drawn = gaps("poisson")
    assert drawn.min() >= 0
    # An exponential's standard deviation is its mean; even spacing would give 0.
    assert drawn.std() / drawn.mean() == pytest.approx(1.0, abs=0.05)
    assert (drawn > 2 / 500.0).mean() == pytest.approx(np.exp(-2), abs=0.02)


@pytest.mark.parametrize("burstiness", [0.5, 1.0, 3.0])
def test_gamma_arrivals_have_the_burstiness_asked_for(burstiness: float) -> None:
    drawn = gaps("gamma", burstiness)
    assert drawn.std() / drawn.mean() == pytest.approx(burstiness, rel=0.08)


def test_poisson_arrivals_follow_a_ramp() -> None:
    times = draw_arrivals("poisson", parse_rate("0..1000"), 10.0, 1.0, np.random.default_rng(0))
    assert len(times) == 5000
    # A quarter of a ramp's arrivals come in its first half.
    assert (times < 5.0).mean() == pytest.approx(0.25, abs=0.02)


def test_even_the_last_of_wild_arrivals_lies_within_the_run() -> None:
    """Beside long gaps the last ones vanish in rounding."""
    for seed in range(20):
        generator = np.random.default_rng(seed)
        times = draw_arrivals("gamma", constant_rate(200.0), 5.0, 20.0, generator)
        assert len(times) == 1000
        assert times[-1] < 5.0


def trace(folder: Path, text: str) -> Path:
    (folder / "trace.csv").write_text(text)
    return folder / "trace.csv"


def test_a_trace_is_read_moved_to_zero_and_put_in_order(tmp_path: Path) -> None:
    with_head = trace(tmp_path, "user,time_s\na,12.5\nb,10.0\n\nc,11.0\n")
    assert read_trace(with_head, None).tolist() == [0.0, 1.0, 2.5]
    assert read_trace(with_head, 2.0).tolist() == [0.0, 1.0]
    assert read_trace(trace(tmp_path, "3\n3.5\n"), None).tolist() == [0.0, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are no times in it"),
        ("time_s\n", "there are no times in it"),
        ("when\n1\n", "no column 'time_s'; there are: when"),
        ("time_s\n1\nsoon\n", "line 3: 'soon' is no time in seconds"),
        ("1\nnan\n", "line 2: 'nan' is no time"),
    ],
)
def test_a_trace_that_tells_no_times_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_trace(trace(tmp_path, text), None)


def test_a_trace_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_trace(tmp_path / "none.csv", None)
