"""A real Triton that dies, or goes silent, and comes back."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from serving.backoff import Backoff
from serving.errors import MemberDown
from serving.triton import supervised
from serving.triton.bundled import QUICK
from serving.triton.config import BundledConfig, TritonConfig
from serving.triton.loading import Triton
from serving.triton.member import TritonMember
from serving.triton.supervised import State, Supervised
from tests.serving.triton.models import Model, load, write_models
from tests.triton.processes import PATIENCE_S, group, stop_process, until


@pytest.fixture(scope="module")
def repository(made: dict[str, Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    write_models(folder, {"image": made["image"]})
    return folder


@pytest.fixture
def start(installed: None, repository: Path) -> Iterator[Callable[[], Supervised]]:
    """Starts a Triton that is looked after; it is ready."""
    started: list[Supervised] = []

    def begin() -> Supervised:
        triton = Supervised(BundledConfig(repository=repository, arguments=(QUICK,)))
        started.append(triton)
        triton.start()
        return triton

    yield begin
    for triton in started:
        if triton.state is State.READY and triton.server is not None:
            os.kill(triton.server.process.pid, signal.SIGCONT)
        triton.stop()


@pytest.fixture
def rows(made: dict[str, Model]) -> dict[str, np.ndarray]:
    return made["image"].make(np.random.default_rng(0), 4)


@pytest.fixture
def connected(made: dict[str, Model]) -> Iterator[Callable[..., TritonMember]]:
    """Gives the member at these Tritons."""
    sources: list[Triton] = []

    def connect(*tritons: Supervised) -> TritonMember:
        urls = tuple(triton.server.grpc for triton in tritons if triton.server is not None)
        sources.append(Triton(TritonConfig(urls=urls, call_timeout_s=5)))
        sources[-1].wait_until_live()
        return load(sources[-1], made["image"])

    yield connect
    for source in sources:
        source.close()


def kill(triton: Supervised, number: signal.Signals) -> None:
    assert triton.server is not None
    if number == signal.SIGSTOP:
        stop_process(triton.server.process.pid)
    else:
        os.kill(triton.server.process.pid, number)


def answers(member: TritonMember, rows: dict[str, np.ndarray], expected: np.ndarray) -> bool:
    try:
        return np.array_equal(member.run(rows), expected)
    except MemberDown:
        return False


def test_one_that_is_killed_comes_back_on_its_ports(
    start: Callable[[], Supervised],
    connected: Callable[..., TritonMember],
    rows: dict[str, np.ndarray],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervised, "Backoff", partial(Backoff, first_s=3))
    triton = start()
    member = connected(triton)
    expected, first = member.run(rows), triton.server
    assert first is not None
    assert (triton.state, triton.num_deaths) == (State.READY, 0)
    kill(triton, signal.SIGKILL)
    until(lambda: triton.num_deaths == 1)
    assert not group(first.process.pid)
    began_s = time.monotonic()
    with pytest.raises(MemberDown, match=r"^member 'image' is not available$"):
        member.run(rows)
    assert time.monotonic() - began_s < 5
    until(lambda: triton.state is State.READY)
    until(lambda: answers(member, rows, expected))
    assert triton.server is not None
    assert triton.server.process.pid != first.process.pid
    assert (triton.server.grpc, triton.server.http) == (first.grpc, first.http)
    told = "\n".join(record.getMessage() for record in caplog.records if record.name == "exitgate")
    assert "Triton ended with -9" in told
    assert "Triton is started again in 3 s" in told


def test_it_dies_during_calls(
    start: Callable[[], Supervised], connected: Callable[..., TritonMember], rows: dict[str, np.ndarray]
) -> None:
    """They end at once, however long they might have taken."""
    triton = start()
    member = connected(triton)
    member.run(rows)
    kill(triton, signal.SIGSTOP)
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(member.run, rows) for _ in range(4)]
        time.sleep(0.2)
        assert not any(call.done() for call in calls)
        kill(triton, signal.SIGKILL)
        began_s = time.monotonic()
        for call in calls:
            assert isinstance(call.exception(timeout=PATIENCE_S), MemberDown)
    assert time.monotonic() - began_s < 4


def test_one_that_goes_silent_is_down_by_the_deadline(
    start: Callable[[], Supervised], connected: Callable[..., TritonMember], rows: dict[str, np.ndarray]
) -> None:
    triton = start()
    member = connected(triton)
    expected = member.run(rows)
    kill(triton, signal.SIGSTOP)
    for deadline_s in (0.3, 0.1):
        began_s = time.monotonic()
        with pytest.raises(MemberDown, match="did not answer in time"):
            member.run(rows, began_s + deadline_s)
        assert deadline_s / 2 < time.monotonic() - began_s < 3
    kill(triton, signal.SIGCONT)
    until(lambda: answers(member, rows, expected))


def test_calls_go_round_one_that_is_silent(
    start: Callable[[], Supervised], connected: Callable[..., TritonMember], rows: dict[str, np.ndarray]
) -> None:
    """Once a ping has found out, no call goes there any more; those before fail at their deadlines."""
    one, two = start(), start()
    member = connected(one, two)
    expected = member.run(rows)
    kill(one, signal.SIGSTOP)
    in_a_row = 0

    def steady() -> bool:
        nonlocal in_a_row
        in_a_row = in_a_row + 1 if answers(member, rows, expected) else 0
        return in_a_row == 20

    until(steady)
    kill(one, signal.SIGCONT)
    kill(two, signal.SIGKILL)
    until(lambda: answers(member, rows, expected))
