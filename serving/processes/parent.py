"""The parent of several processes: it answers no request itself.

It keeps the ports for them, starts the bundled Triton if there is to be one, starts the processes and keeps
them up, and lets them drain.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

from serving.config import ServerConfig
from serving.processes.ports import reserve
from serving.processes.process import Process
from serving.settings import Chosen
from serving.settings_shown import as_toml
from serving.stopping import stop_event, unless_stopped
from serving.triton.config import BundledConfig
from serving.triton.supervised import Supervised


async def run_parent(
    config: ServerConfig, chosen: Mapping[str, Chosen], announce: Callable[[list[str]], None]
) -> None:
    """Until SIGTERM or SIGINT, then drain. `announce` gets the lines of a server that is ready, once all
    processes are; StartupError where one of them cannot start."""
    stop = stop_event()
    async with AsyncExitStack() as stack:
        http = stack.enter_context(reserve("HTTP", config.host, config.http_port))
        grpc = stack.enter_context(reserve("gRPC", config.host, config.grpc_port))
        ports = {"http-port": http.getsockname()[1], "grpc-port": grpc.getsockname()[1]}
        triton = await unless_stopped(stop, _triton(config, stack))
        if triton is None:
            return
        settings = stack.enter_context(_as_file(chosen, ports))
        processes = [Process(number + 1, settings, triton) for number in range(config.num_processes)]
        stack.push_async_callback(_stop, processes, config.grace_s)
        await _keep_up(processes, stop, announce)


async def _triton(config: ServerConfig, stack: AsyncExitStack) -> list[str]:
    """Where the one answers that is started here."""
    if not config.backend.start_triton:
        return []
    supervised = Supervised(BundledConfig(repository=config.repository, log=config.backend.triton_log))
    stack.push_async_callback(asyncio.to_thread, supervised.stop)
    return [await asyncio.to_thread(supervised.start)]


@contextmanager
def _as_file(chosen: Mapping[str, Chosen], ports: Mapping[str, int]) -> Iterator[BinaryIO]:
    """As they are now, so that a process that is started again has those of the others."""
    changed: dict[str, Any] = {name: replace(chosen[name], value=port) for name, port in ports.items()}
    with tempfile.TemporaryFile() as file:
        file.write(as_toml({**chosen, **changed}).encode())
        file.flush()
        yield file


async def _keep_up(
    processes: list[Process], stop: asyncio.Event, announce: Callable[[list[str]], None]
) -> None:
    ready = await unless_stopped(stop, _all_ready(processes))
    if ready is not None:
        *cascades, line = ready[0]
        announce([*cascades, f"{len(processes)} processes share the ports", line])
        await stop.wait()


async def _all_ready(processes: list[Process]) -> list[list[str]]:
    return await asyncio.gather(*(process.ready for process in processes))


async def _stop(processes: list[Process], grace_s: float) -> None:
    await asyncio.gather(*(process.stop(grace_s) for process in processes), return_exceptions=True)
