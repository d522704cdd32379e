"""grpc.health.v1: one look, watching, and how watches end."""

import asyncio
import queue
import threading
import time
from collections.abc import Iterator
from typing import cast

import grpc
import pytest
import tritonclient.grpc as triton_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2

from serving.engine import Engine
from serving.grpc.health import HealthService
from serving.registry import Registry
from tests.repositories import Repository
from tests.servers import Server, serving
from tests.serving.in_process import ToldEngine

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.fixture
def health(server: Server) -> Iterator[health_pb2_grpc.HealthStub]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def asked(service: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService", "digits", "digits-1"])
def test_what_is_served_is_said_to_be(service: str, health: health_pb2_grpc.HealthStub) -> None:
    assert health.Check(asked(service), timeout=10).status == SERVING
    watch = health.Watch(asked(service), timeout=10)
    assert next(watch).status == SERVING
    watch.cancel()


@pytest.mark.parametrize("service", ["nope", "inference", "x" * 10_000])
def test_what_is_unknown_is_said_to_be(service: str, health: health_pb2_grpc.HealthStub) -> None:
    with pytest.raises(grpc.RpcError, match="unknown service") as caught:
        health.Check(asked(service), timeout=10)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    watch = health.Watch(asked(service), timeout=10)
    assert next(watch).status == UNKNOWN
    watch.cancel()


def test_garbage_is_the_clients_fault(server: Server) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/grpc.health.v1.Health/Check")(b"\xff" * 9, timeout=10)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as caught:
            list(channel.unary_stream("/grpc.health.v1.Health/Watch")(b"\xff" * 9, timeout=10))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_open_watches_are_told_and_do_not_hold_a_drain_up(repository: Repository) -> None:
    with serving(repository.path, "--grace", "30") as server, grpc.insecure_channel(server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(asked(service)) for service in ("", "digits", "nope")]
        assert [next(watch).status for watch in watches] == [SERVING, SERVING, UNKNOWN]
        started = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - started < 5
        assert [[answer.status for answer in watch] for watch in watches] == [
            [NOT_SERVING],
            [NOT_SERVING],
            [],
        ]
        assert [watch.code() for watch in watches] == [grpc.StatusCode.OK] * 3
        log = "".join(server.output)
    assert "Traceback" not in log
    assert "had no answer" not in log


def test_an_idle_stream_does_not_hold_a_drain_up(repository: Repository) -> None:
    """What it has asked is answered; then it is told to go elsewhere."""
    message = service_pb2.ModelInferRequest(model_name="digits", raw_input_contents=[bytes(64)])
    message.inputs.add(name="image", datatype="UINT8", shape=[1, 8, 8, 1])
    end = threading.Event()

    def messages() -> Iterator[service_pb2.ModelInferRequest]:
        yield message
        end.wait(20)

    with serving(repository.path, "--grace", "30") as server, grpc.insecure_channel(server.grpc) as channel:
        method = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            service_pb2.ModelInferRequest.SerializeToString,
            service_pb2.ModelStreamInferResponse.FromString,
        )
        answers = method(messages())
        assert next(answers).infer_response.model_name == "digits"
        started = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - started < 5
        end.set()
        with pytest.raises(grpc.RpcError, match="the server is stopping"):
            next(answers)
        assert answers.code() == grpc.StatusCode.UNAVAILABLE
        log = "".join(server.output)
    assert "Traceback" not in log


def test_a_watch_follows_what_is_loaded(repository: Repository) -> None:
    found: queue.Queue[int] = queue.Queue()
    with (
        serving(repository.path, "--allow-model-control") as server,
        grpc.insecure_channel(server.grpc) as channel,
        triton_grpc.InferenceServerClient(server.grpc) as client,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(asked("digits"))
        reader = threading.Thread(target=lambda: [found.put(answer.status) for answer in watch])
        reader.start()
        assert found.get(timeout=10) == SERVING
        client.unload_model("digits")
        assert found.get(timeout=10) == UNKNOWN
        client.load_model("digits")
        assert found.get(timeout=10) == SERVING
        server.terminate()
        assert found.get(timeout=10) == NOT_SERVING
        reader.join(timeout=10)
        assert not reader.is_alive()


def test_an_end_that_comes_while_a_watch_is_told_something_is_told_too() -> None:
    async def scenario() -> list[int]:
        health = HealthService(cast(Engine, ToldEngine(Registry({}))))
        watch = health.Watch(asked(""), None)
        told = [(await anext(watch)).status]
        health.end()  # the generator still stands where it told the first
        return told + [answer.status async for answer in watch]

    assert asyncio.run(asyncio.wait_for(scenario(), 10)) == [SERVING, NOT_SERVING]
