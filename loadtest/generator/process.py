"""What a generator process does: what it is told over its connection, one thing after another.

It is told what to prepare, says that it is ready, is told when to begin, and says what it measured.
"""

import asyncio
import signal
import sys
import time
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
        try:
            connection.send(READY)
            while True:
                what, arguments = await asyncio.to_thread(connection.recv)
                connection.send(await _done(generator, connection, what, arguments))
        except (EOFError, OSError):
            return


async def _done(generator: LocalGenerator, connection: Connection, what: str, arguments: Any) -> object:
    """The result, or the error in its place. EOFError and OSError are the connection's."""
    try:
        if what == "saturate":
            saturation = await generator.prepare_saturation(*arguments)
            await _until(await _start(connection))
            return await saturation.run(lambda _: None)
        load = await generator.prepare(*arguments)
        return await load.run_at(lambda _, __: None, await _start(connection))
    except (EOFError, OSError):
        raise
    except Exception as error:
        return error


async def _start(connection: Connection) -> float:
    connection.send(READY)
    start: float = await asyncio.to_thread(connection.recv)
    return start


async def _until(start: float) -> None:
    await asyncio.sleep(max(0.0, start - time.perf_counter()))
