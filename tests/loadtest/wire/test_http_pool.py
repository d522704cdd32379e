import asyncio
from collections.abc import Iterable

import pytest

from loadtest.wire.http_pool import KEEP_ALIVE_S, SHORTEST_IDLE_S, HttpPool
from tests.loadtest.wire.scripted_server import OK, ScriptedServer, Step, scripted

ASK = b"GET / HTTP/1.1\r\n\r\n"
CUT = Step((OK[:20],), closes=True)
SILENT = Step((), closes=True)


async def asked_at(times_s: Iterable[float], *script: Step) -> tuple[list[bytes | None], ScriptedServer]:
    """The bodies of the answers to one request after another, None where it failed."""
    now = [0.0]
    bodies: list[bytes | None] = []
    async with scripted(script) as server:
        pool = HttpPool(server.target, clock=lambda: now[0])
        for now[0] in times_s:
            try:
                bodies.append((await pool.exchange(ASK)).body)
            except OSError:
                bodies.append(None)
        await pool.close()
    return bodies, server


def test_a_connection_is_used_again() -> None:
    bodies, server = asyncio.run(asked_at([0, 3, 6], Step(), Step(), Step()))
    assert bodies == [b"hi"] * 3
    assert server.served == [0, 0, 0]


def test_one_that_was_idle_for_long_is_not() -> None:
    """The server may be closing it just then."""
    _, server = asyncio.run(asked_at([0, KEEP_ALIVE_S], Step(), Step()))
    assert server.served == [0, 1]


def test_one_that_the_server_closed_is_not() -> None:
    async def asked() -> list[int]:
        async with scripted([Step(closes=True), Step()]) as server:
            pool = HttpPool(server.target)
            await pool.exchange(ASK)
            await asyncio.sleep(0.05)
            await pool.exchange(ASK)
            await pool.close()
            return server.served

    assert asyncio.run(asked()) == [0, 1]


def test_the_last_given_back_is_the_first_used() -> None:
    async def asked() -> list[int]:
        async with scripted([Step(), Step((b"", OK)), *[Step()] * 3]) as server:
            pool = HttpPool(server.target)
            await asyncio.gather(pool.exchange(ASK), pool.exchange(ASK))
            for _ in range(3):
                await pool.exchange(ASK)
            await pool.close()
            return server.served

    served = asyncio.run(asked())
    assert sorted(served[:2]) == [0, 1]
    assert served[2:] == [served[1]] * 3


def test_a_request_that_was_given_up_takes_its_connection_with_it() -> None:
    """Its answer must not be taken for the next one's."""

    async def asked() -> list[int]:
        async with scripted([Step(()), Step()]) as server:
            pool = HttpPool(server.target)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await pool.exchange(ASK)
            await asyncio.sleep(0.05)
            assert server.num_open == 0
            assert (await pool.exchange(ASK)).body == b"hi"
            await pool.close()
            return server.served

    assert asyncio.run(asked()) == [0, 1]


@pytest.mark.parametrize(
    ("script", "idle_s", "bodies", "served"),
    [
        # Closing and request crossed: asked again.
        ([Step(), SILENT, Step()], SHORTEST_IDLE_S, [b"hi", b"hi"], [0, 0, 1]),
        # A server that closes a connection in use has failed the request.
        ([Step(), SILENT, Step()], SHORTEST_IDLE_S / 2, [b"hi", None], [0, 0]),
        # So has one that had begun to answer.
        ([Step(), CUT, Step()], SHORTEST_IDLE_S, [b"hi", None], [0, 0]),
        # Once, and no more.
        ([Step(), SILENT, SILENT, Step()], SHORTEST_IDLE_S, [b"hi", None], [0, 0, 1]),
        # A new connection has no idleness to blame.
        ([SILENT, Step()], SHORTEST_IDLE_S, [None, b"hi"], [0, 1]),
    ],
)
def test_a_request_is_repeated_only_where_the_server_can_t_be_blamed(
    script: list[Step], idle_s: float, bodies: list[bytes | None], served: list[int]
) -> None:
    got, server = asyncio.run(asked_at([0, idle_s], *script))
    assert got == bodies
    assert server.served == served


def test_nobody_listening_is_an_error() -> None:
    async def asked() -> None:
        async with scripted([]) as server:
            target = server.target
        await HttpPool(target).exchange(ASK)

    with pytest.raises(ConnectionRefusedError):
        asyncio.run(asked())


def test_closing_leaves_no_connection_open() -> None:
    async def left_open() -> int:
        async with scripted([Step(), Step()]) as server:
            pool = HttpPool(server.target)
            await asyncio.gather(pool.exchange(ASK), pool.exchange(ASK))
            await pool.close()
            await asyncio.sleep(0.05)
            return server.num_open

    assert asyncio.run(left_open()) == 0
