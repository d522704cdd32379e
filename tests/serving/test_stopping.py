"""A stop is heard also while something starts."""

import asyncio
import signal
import socket

import pytest

from serving.stopping import unless_stopped
from tests.repositories import Repository
from tests.servers import launch
from tests.triton.processes import until


def test_what_comes_first_counts() -> None:
    async def scenario() -> None:
        stop, ended = asyncio.Event(), []

        async def never() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

        async def broken() -> None:
            raise ValueError("its own")

        assert await unless_stopped(stop, asyncio.sleep(0, "done")) == "done"
        with pytest.raises(ValueError, match="its own"):
            await unless_stopped(stop, broken())
        asyncio.get_running_loop().call_later(0.01, stop.set)
        assert await unless_stopped(stop, never()) is None
        assert ended == ["cancelled"]

    asyncio.run(asyncio.wait_for(scenario(), 10))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_waits_for_triton_stops_when_it_is_told(
    number: signal.Signals, repository: Repository
) -> None:
    """Nobody listens at port 9; it would wait for a minute."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    flags = ("--backend", "triton", "--triton-url", "127.0.0.1:9", "--http-port", str(port))
    process = launch(repository.path, "--grpc-port", "0", *flags)
    try:
        until(lambda: is_listening(port))  # from then on it waits
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, output


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
