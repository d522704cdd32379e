"""What a generator process does: what it is told over its connection, one thing after another."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from loadtest.generator.local import LocalGenerator
from loadtest.traffic.samples import Samples
from loadtest.wire.clients import open_clients
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import Target

READY = "ready"
# The pacer's thread must get its turn well within the lag that a run may have.
SWITCH_INTERVAL_S = 0.0002


def serve(
    connection: Connection, keys: Sequence[tuple[Target, str]], samples: Samples, options: WireOptions
) -> None:
    """Until the connection ends. An interrupt is the parent's to act on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(connection, keys, samples, options))


async def _serve(
    connection: Connection, keys: Sequence[tuple[Target, str]], samples: Samples, options: WireOptions
) -> None:
    targets, models = (list(dict.fromkeys(column)) for column in zip(*keys, strict=True))
    async with open_clients(targets, models, options) as clients:
        generator = LocalGenerator(clients, samples)
        connection.send(READY)
        while True:
            try:
                what, arguments = await asyncio.to_thread(connection.recv)
            except (EOFError, OSError):
                return
            connection.send(await _done(generator, connection, what, arguments))


async def _done(generator: LocalGenerator, connection: Connection, what: str, arguments: Any) -> object:
    """The result, or the error in its place."""
    try:
        if what == "saturate":
            case, capacity, seed = arguments
            return await generator.saturate(case, capacity, seed, lambda _: None)
        prepared = await generator.prepare(*arguments)
        connection.send(READY)
        _, (start,) = await asyncio.to_thread(connection.recv)
        return await prepared.run(lambda _, __: None, start)
    except Exception as error:
        return error
