"""What the edges do about overload, deadlines, clients that leave, and clients that are slow."""

import asyncio
import json
import math
import time
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from serving.errors import Overloaded, StartupError, TimedOut
from serving.http.protocol import ConnectionLimits
from serving.messages import InferRequest
from tests.repositories import Repository
from tests.serving.in_process import edges, until
from tests.serving.malformed import GOOD
from tests.serving.raw_http import head

REQUEST = head(f"Content-Length: {len(GOOD)}") + GOOD
LIMITS = ConnectionLimits(head_s=0.4, body_s=0.4, body_bytes_per_s=100_000)


def message() -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="digits", raw_input_contents=[bytes(64)])
    request.inputs.add(name="image", datatype="UINT8", shape=[1, 8, 8, 1])
    return request


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = address.split(":")
    return await asyncio.open_connection(host, int(port))


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    async with asyncio.timeout(5):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
    return int(lines[0].split()[1]), headers, json.loads(body)


async def wait_for_ever(request: InferRequest) -> Any:
    await asyncio.Event().wait()


def raising(error: Exception) -> Any:
    async def infer(request: InferRequest) -> Any:
        raise error

    return infer


def refused(repository: Repository, error: Exception) -> tuple[tuple[int, dict[str, str], Any], Any]:
    """What a request that ends with `error` is told, over HTTP and over gRPC."""

    async def scenario() -> Any:
        async with edges(repository, raising(error)) as served:
            reader, writer = await connect(served.http)
            writer.write(REQUEST)
            over_http = await answer(reader)
            writer.close()
            async with grpc.aio.insecure_channel(served.grpc) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(message())
        return over_http, caught.value

    return asyncio.run(scenario())


@pytest.mark.parametrize(("seconds", "told"), [(0.0, "1"), (0.2, "1"), (2.1, "3")])
def test_overload_says_when_to_come_again(seconds: float, told: str, repository: Repository) -> None:
    (status, headers, document), over_grpc = refused(repository, Overloaded("too much is queued", seconds))
    assert (status, headers["retry-after"]) == (503, told)
    assert document == {"error": "too much is queued"}
    assert over_grpc.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert over_grpc.details() == "too much is queued"
    assert dict(over_grpc.trailing_metadata())["retry-after"] == told


def test_a_deadline_that_passed(repository: Repository) -> None:
    (status, headers, document), over_grpc = refused(repository, TimedOut("the deadline passed"))
    assert (status, document) == (503, {"error": "the deadline passed"})
    assert "retry-after" not in headers
    assert over_grpc.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_bug_tells_no_more_than_its_kind(repository: Repository, caplog: pytest.LogCaptureFixture) -> None:
    (status, _, document), over_grpc = refused(repository, KeyError("/secret/path"))
    assert (status, document) == (500, {"error": "internal error: KeyError"})
    assert over_grpc.code() == grpc.StatusCode.INTERNAL
    assert over_grpc.details() == "internal error: KeyError"
    assert [record.message for record in caplog.records if record.name == "exitgate"] == [
        "a request failed"
    ] * 2


@pytest.mark.parametrize("timeout", [None, 3.0])
def test_grpc_deadlines_reach_the_engine(timeout: float | None, repository: Repository) -> None:
    async def scenario() -> float:
        async with edges(repository, raising(TimedOut("no"))) as served:
            async with grpc.aio.insecure_channel(served.grpc) as channel:
                with pytest.raises(grpc.aio.AioRpcError):
                    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
                    await stub.ModelInfer(message(), timeout=timeout)
            return served.engine.seen[0].deadline_s - time.monotonic()

    remaining_s = asyncio.run(scenario())
    assert remaining_s == math.inf if timeout is None else 2.5 < remaining_s <= 3.0


def test_a_client_that_leaves_ends_its_request(repository: Repository) -> None:
    """Over both protocols; and what comes after on other connections is served."""

    async def scenario() -> None:
        async with edges(repository, wait_for_ever) as served:
            engine = served.engine
            _, writer = await connect(served.http)
            writer.write(REQUEST)
            await until(lambda: len(engine.seen) == 1)
            writer.close()
            await until(lambda: engine.cancelled == 1)
            async with grpc.aio.insecure_channel(served.grpc) as channel:
                call = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(message())
                sending = asyncio.ensure_future(call.code())
                await until(lambda: len(engine.seen) == 2)
                call.cancel()
                await until(lambda: engine.cancelled == 2)
                assert await sending == grpc.StatusCode.CANCELLED

    asyncio.run(scenario())


def test_no_log_line_for_a_client_that_leaves(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with edges(repository, wait_for_ever) as served:
            for sent in (REQUEST, REQUEST[:-5], head("Content-Length: 5", path="/v2/repository/index")):
                _, writer = await connect(served.http)
                writer.write(sent)
                await asyncio.sleep(0.1)
                writer.close()
            await until(lambda: served.engine.cancelled == 1)

    asyncio.run(scenario())
    assert [record for record in caplog.records if record.name in ("exitgate", "uvicorn.error")] == []


SLOW = [
    pytest.param(b"", None, "", id="nothing"),
    pytest.param(b"POST /v2/mod", 408, "the request's head did not come in time", id="a line"),
    pytest.param(head()[:-2], 408, "the request's head did not come in time", id="a head"),
    pytest.param(REQUEST[:-5], 408, "the request's body did not come in time", id="a body"),
    pytest.param(
        head("Content-Length: 5", path="/v2/repository/index"),
        408,
        "the request's body did not come in time",
        id="a body elsewhere",
    ),
]


@pytest.mark.parametrize(("sent", "status", "message"), SLOW)
def test_who_sends_no_more_is_told_and_left(
    sent: bytes, status: int | None, message: str, repository: Repository
) -> None:
    async def scenario() -> None:
        async with edges(repository, limits=LIMITS) as served:
            reader, writer = await connect(served.http)
            started = time.monotonic()
            writer.write(sent)
            if status is not None:
                code, _, document = await answer(reader)
                assert (code, document) == (status, {"error": message})
            assert await asyncio.wait_for(reader.read(), 5) == b""
            assert 0.3 < time.monotonic() - started < 1.5
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        pytest.param(b"POST /", b"x", id="in the path"),
        pytest.param(head()[:-2] + b"X: ", b"y", id="in a header"),
        pytest.param(head("Content-Length: 100"), b"x", id="in the body"),
        pytest.param(head("Transfer-Encoding: chunked"), b"1\r\nx\r\n", id="in chunks"),
    ],
)
def test_drops_do_not_keep_a_connection(begin: bytes, drop: bytes, repository: Repository) -> None:
    """A byte now and then is not a request."""

    async def scenario() -> None:
        async with edges(repository, limits=LIMITS) as served:
            reader, writer = await connect(served.http)

            async def drip() -> None:
                writer.write(begin)
                while True:
                    await asyncio.sleep(0.05)
                    writer.write(drop)

            dripping = asyncio.create_task(drip())
            started = time.monotonic()
            assert (await answer(reader))[0] == 408
            assert time.monotonic() - started < 1.5
            dripping.cancel()
            writer.close()

    asyncio.run(scenario())


def test_who_does_not_read_is_left(repository: Repository, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with edges(repository, raising(TimedOut("no " * 160)), limits=LIMITS) as served:
            reader, writer = await connect(served.http)
            reader._limit = 1  # type: ignore[attr-defined]  # asyncio reads no more than twice as much
            for _ in range(400):
                writer.write(REQUEST * 30)
            await until(lambda: len(served.engine.seen) > 100)
            assert len(served.connections) == 1
            await until(lambda: len(served.connections) == 0, 8)
            assert len(served.engine.seen) < 400 * 30
            writer.close()

    asyncio.run(scenario())
    assert [record for record in caplog.records if record.name in ("exitgate", "uvicorn.error")] == []


def test_a_large_body_has_its_time(repository: Repository) -> None:
    """Longer than `body_s`, at twice the least rate."""

    async def scenario() -> None:
        async with edges(repository, raising(TimedOut("it came")), limits=LIMITS) as served:
            reader, writer = await connect(served.http)
            padded = b" " * 200_000 + GOOD
            writer.write(head(f"Content-Length: {len(padded)}"))
            for k in range(0, len(padded), 10_000):
                writer.write(padded[k : k + 10_000])
                await asyncio.sleep(0.05)
            assert (await answer(reader))[2] == {"error": "it came"}
            writer.close()

    asyncio.run(scenario())


def test_an_answer_may_take_longer_than_its_request(repository: Repository) -> None:
    async def slow(request: InferRequest) -> Any:
        await asyncio.sleep(1.2)
        raise TimedOut("here it is")

    async def scenario() -> None:
        async with edges(repository, slow, limits=LIMITS) as served:
            reader, writer = await connect(served.http)
            for sent in (REQUEST, REQUEST + REQUEST):  # the last waits behind the one before
                writer.write(sent)
                for _ in range(len(sent) // len(REQUEST)):
                    assert (await answer(reader))[2] == {"error": "here it is"}
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["head_s", "body_s", "body_bytes_per_s", "max_head_bytes"])
def test_limits_are_positive(name: str) -> None:
    with pytest.raises(StartupError, match=f"{name} is 0; it must be positive"):
        ConnectionLimits(**{name: 0})
