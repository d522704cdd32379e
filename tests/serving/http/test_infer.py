"""The inference route by itself: bodies that come in pieces, and clients that leave while they are told."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from serving.config import Limits, ServerConfig
from serving.errors import TimedOut
from serving.http.app import make_app
from serving.http.asgi import Message, Scope
from serving.http.incoming import Incoming, incoming_within
from serving.http.infer import InferenceRoute
from serving.loading import Loader, read_cascades
from serving.messages import InferRequest
from serving.services import make_services
from tests.repositories import Repository
from tests.serving.in_process import ToldEngine
from tests.serving.malformed import GOOD

INFER = "/v2/models/digits/infer"
INDEX = "/v2/repository/index"


async def no_time(request: InferRequest) -> Any:
    raise TimedOut("it came")


def route(repository: Repository, incoming: Incoming) -> InferenceRoute:
    registry = Loader(repository.path, 8).load_all(read_cascades(repository.path))
    engine: Any = ToldEngine(registry, no_time, Limits(max_body_bytes=2000))
    services = make_services(engine, ServerConfig(repository=repository.path, http_port=0, grpc_port=0))
    return InferenceRoute(services, make_app(services), incoming)


class Client:
    """One request; its body comes in `pieces`, of which None is that the client leaves. What it is told is
    kept, after `patience_s` for each message."""

    def __init__(self, pieces: Iterable[bytes | None], path: str = INFER, patience_s: float = 0.0) -> None:
        self.scope: Scope = {"type": "http", "method": "POST", "headers": [], "query_string": b""}
        self.scope |= {"path": path, "raw_path": path.encode()}
        self.pieces = list(pieces)
        self.patience_s = patience_s
        self.told: list[Message] = []
        self.is_waiting = asyncio.Event()

    async def receive(self) -> Message:
        if not self.pieces:
            self.is_waiting.set()
            await asyncio.Event().wait()
        piece = self.pieces.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": piece != b""}

    async def send(self, message: Message) -> None:
        self.is_waiting.set()
        await asyncio.sleep(self.patience_s)
        self.told.append(message)

    async def ask(self, of: InferenceRoute) -> tuple[int, dict[bytes, bytes], Any]:
        await of(self.scope, self.receive, self.send)
        start, body = self.told
        return start["status"], dict(start["headers"]), json.loads(body["body"])


PIECES = [GOOD[:50], GOOD[50:], b""]


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        (PIECES, 503),
        ([b"{", b"}", b""], 400),
        ([bytes(1000), bytes(1000), bytes(1), b""], 413),
        ([bytes(10), None], 400),
    ],
    ids=["whole", "malformed", "too large", "left"],
)
@pytest.mark.parametrize("path", [INFER, INDEX])
def test_what_came_of_a_body_counts_until_its_end(
    pieces: list[bytes | None], status: int, path: str, repository: Repository
) -> None:
    async def scenario() -> None:
        incoming = Incoming(3000)
        told = (await Client(pieces, path).ask(route(repository, incoming)))[0]
        assert told == status or path == INDEX
        assert incoming.num_bytes == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("path", [INFER, INDEX])
def test_bodies_on_their_way_are_bounded_together(path: str, repository: Repository) -> None:
    async def scenario() -> None:
        incoming = Incoming(1000)
        served = route(repository, incoming)
        slow = Client([bytes(300), bytes(300)], path)
        waiting = asyncio.create_task(slow.ask(served))
        await slow.is_waiting.wait()
        assert incoming.num_bytes == 600
        status, headers, document = await Client([bytes(300), bytes(300)], path).ask(served)
        assert (status, headers[b"retry-after"]) == (503, b"1")
        assert document == {"error": "more than 1000 bytes of bodies are on their way"}
        assert incoming.num_bytes == 600
        assert (await Client(PIECES).ask(served))[2] == {"error": "it came"}
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert incoming.num_bytes == 0

    asyncio.run(scenario())


def test_a_body_in_one_piece_is_not_counted(repository: Repository) -> None:
    async def whole() -> Message:
        return {"type": "http.request", "body": GOOD}

    async def scenario() -> None:
        client = Client([])
        await route(repository, Incoming(0))(client.scope, whole, client.send)
        assert client.told[0]["status"] == 503
        assert json.loads(client.told[1]["body"]) == {"error": "it came"}

    asyncio.run(scenario())


@pytest.mark.parametrize(("max_body_bytes", "expected"), [(1, 2**28), (2**26, 2**28), (2**27, 2**29)])
def test_a_few_large_bodies_may_be_on_their_way(max_body_bytes: int, expected: int) -> None:
    assert incoming_within(Limits(max_body_bytes=max_body_bytes)).max_bytes == expected


def test_who_leaves_while_they_are_told_is_not_told(repository: Repository) -> None:
    """Nor is the log: the task ends as if all had been said."""

    async def scenario() -> None:
        client = Client(PIECES, patience_s=3600)
        task = asyncio.create_task(
            route(repository, Incoming(1000))(client.scope, client.receive, client.send)
        )
        await client.is_waiting.wait()
        task.cancel()
        assert await task is None
        assert client.told == []

    asyncio.run(scenario())
