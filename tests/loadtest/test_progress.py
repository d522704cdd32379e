import pytest
from tqdm import tqdm

from loadtest.progress import LATEST, Progress, Watch


def test_the_bar_tells_what_was_seen_of_late() -> None:
    with tqdm(total=1000, disable=True) as bar:
        watch = Watch(bar)
        assert watch.words() == "0 failed"
        for _ in range(LATEST):
            watch.settled(True, 9.0)
        for latency_s in (0.010, 0.020):
            for _ in range(LATEST // 2):
                watch.settled(True, latency_s)
        watch.settled(False, 10.0)
        assert watch.words() == "p50 15.0 ms, p99 20.0 ms, 1 failed"


def test_away_from_a_terminal_a_phase_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress().load("load      window over http", 30) as watch:
        watch.advance(30)
    assert capsys.readouterr().err.startswith("load      window over http: 30 requests in 0.")
