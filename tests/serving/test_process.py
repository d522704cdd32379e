"""A process as its parent sees it, whatever it says and however it ends; instead of a server a few lines of
Python."""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial

import pytest

from serving.backoff import Backoff
from serving.errors import StartupError
from serving.processes import process as under_test
from serving.processes.process import Process
from tests.serving.test_answer_always import eventually

READY = "import json, time; print(json.dumps({'ready': ['here']}), flush=True); "


def run(
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[[int], list[str]],
    scenario: Callable[[Process], Coroutine[None, None, None]],
) -> None:
    """`command` of the n-th start, from 0."""
    starts: list[int] = []

    def counted(number: int, triton: object) -> list[str]:
        starts.append(number)
        return command(len(starts) - 1)

    async def whole() -> None:
        with tempfile.TemporaryFile() as settings:
            one = Process(1, settings, [])
            await scenario(one)
            await one.stop(5)

    monkeypatch.setattr(under_test, "_command", counted)
    monkeypatch.setattr(under_test, "Backoff", partial(Backoff, first_s=0.01))
    asyncio.run(asyncio.wait_for(whole(), 20))


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_lines_of_others_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(one: Process) -> None:
        assert await one.ready == ["here"]

    code = "print('a library says', flush=True); " + READY + "time.sleep(60)"
    run(monkeypatch, lambda _: python(code), scenario)
    assert "process 1: a library says" in caplog.messages


def test_one_that_cannot_be_started_at_first_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(one: Process) -> None:
        with pytest.raises(StartupError, match="process 1 was lost: "):
            await one.ready

    run(monkeypatch, lambda _: ["/no-such-program"], scenario)


def test_one_that_cannot_be_started_again_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def command(start: int) -> list[str]:
        return ["/no-such-program"] if start == 1 else python(READY + ("time.sleep(60)" if start else ""))

    async def scenario(one: Process) -> None:
        await one.ready
        await eventually(lambda: sum("is ready" in message for message in caplog.messages) == 2)

    caplog.set_level("INFO")
    run(monkeypatch, command, scenario)
    assert any("process 1 ended with 0; process 1 is started again" in message for message in caplog.messages)
    assert any("process 1 was lost" in message for message in caplog.messages)
