"""One process as its parent sees it: started, heard, started again when it ends, stopped."""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from serving.backoff import Backoff
from serving.end_with_parent import ending_with_parent
from serving.errors import StartupError
from serving.settings import PREFIX

log = logging.getLogger("exitgate")
LAST_WORDS_S = 15.0
"""Beyond the grace period: for files and connections to be closed."""
LONGEST_LINE = 2**20


class Process:
    """`ready` has the lines that it announced the first time; or StartupError, if it never came to that."""

    def __init__(self, number: int, settings: BinaryIO, triton: Sequence[str]) -> None:
        self.ready: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._number = number
        self._settings = settings
        self._triton = triton
        self._refusal = ""
        self._stopping = asyncio.Event()
        self._running: asyncio.subprocess.Process | None = None
        self._life = asyncio.create_task(self._live())

    async def stop(self, grace_s: float) -> None:
        """It drains; what is left of it after the grace period, and a little more, is killed."""
        self._stopping.set()
        self._send(signal.SIGTERM)
        _, late = await asyncio.wait({self._life}, timeout=grace_s + LAST_WORDS_S)
        if late:
            log.error("process %d did not end in time, and is killed", self._number)
            self._send(signal.SIGKILL)
        await self._life

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._running is not None:
                self._running.send_signal(number)

    async def _live(self) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            began_s = time.monotonic()
            ended = await self._ended()
            if self._stopping.is_set():
                return
            told = self._refusal or f"process {self._number} {ended}"
            if not self.ready.done():
                self.ready.set_exception(StartupError(told))
                return
            pause_s = backoff.pause_s(time.monotonic() - began_s)
            log.error("%s; process %d is started again in %g s", told, self._number, pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _ended(self) -> str:
        """From a start to its end, and how it came to it. Whatever goes wrong, it is over then."""
        try:
            return f"ended with {await self._once()}"
        except Exception as error:
            self._send(signal.SIGKILL)
            return f"was lost: {error}"

    async def _once(self) -> int:
        """From a start to its end; the exit code."""
        self._refusal = ""
        process = await asyncio.create_subprocess_exec(
            *_command(self._number, self._triton),
            stdin=self._settings,
            stdout=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
            limit=LONGEST_LINE,
            start_new_session=True,  # or Ctrl-C would reach it before the parent says so
        )
        self._running = process
        if self._stopping.is_set():
            self._send(signal.SIGTERM)
        if process.stdout is None:
            raise AssertionError("its output was asked for")
        async for line in process.stdout:
            self._hear(line)
        return await process.wait()

    def _hear(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:  # some library's own words
            log.warning("process %d: %s", self._number, line.decode(errors="replace").rstrip())
            return
        self._refusal = str(said.get("refused", ""))
        lines = said.get("ready")
        if isinstance(lines, list):
            log.info("process %d is ready", self._number)
            if not self.ready.done():
                self.ready.set_result(lines)


def _command(number: int, triton: Sequence[str]) -> list[str]:
    child = [sys.executable, "-m", "serving.processes.child", str(number), str(os.getpid()), *triton]
    return ending_with_parent(child)
