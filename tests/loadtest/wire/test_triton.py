"""Against a real Triton, whose models are plain ones."""

import asyncio
from collections.abc import Iterator

import numpy as np
import onnxruntime
import pytest

from cascade.cascade_file import TensorSpec
from loadtest.errors import TargetError
from loadtest.wire.client import Ask, Client, Status
from loadtest.wire.clients import fetch_served, open_clients
from loadtest.wire.model_statistics import ModelStatistics
from loadtest.wire.options import WireOptions
from loadtest.wire.served import LEAN_OUTPUTS, ServedModel
from loadtest.wire.targets import Target, parse_target
from loadtest.wire.tensors import NamedTensor
from serving.triton.bundled import QUICK, TritonServer, triton
from tests.triton.installation import require
from tests.triton.models import WIDTH, WORDS, echo, mixed, write_model

ROWS = 5
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, WORDS, (ROWS, 3))
NUMBERS = RNG.normal(size=(ROWS, WIDTH)).astype(np.float32)
INPUTS = (NamedTensor("ids", "INT64", IDS), NamedTensor("numbers", "FP32", NUMBERS))
PLAIN = ServedModel(
    name="mixed",
    inputs=(
        TensorSpec(name="ids", datatype="INT64", shape=(-1, -1)),
        TensorSpec(name="numbers", datatype="FP32", shape=(-1, WIDTH)),
    ),
    outputs=("logits", "total"),
    scores_output="logits",
    max_request_rows=32,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    require()
    folder = tmp_path_factory.mktemp("triton")
    write_model(folder / "repository", "mixed", mixed())
    write_model(folder / "repository", "echo", echo())
    with triton(folder / "repository", QUICK, log=folder / "triton.log") as running:
        yield running


def targets_of(server: TritonServer) -> list[Target]:
    return [parse_target(f"http://{server.http}"), parse_target(f"grpc://{server.grpc}")]


async def counted(client: Client, before: ModelStatistics) -> ModelStatistics:
    """Triton counts a request a moment after it has answered it."""
    for _ in range(500):
        spent = (await client.statistics())["mixed"].since(before)
        if spent.rows:
            return spent
        await asyncio.sleep(0.01)
    return ModelStatistics()


@pytest.mark.parametrize("is_json", [False, True])
def test_it_is_described_asked_and_counted_over_both_protocols(server: TritonServer, is_json: bool) -> None:
    session = onnxruntime.InferenceSession(mixed(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(["logits"], {"ids": IDS, "numbers": NUMBERS})

    async def asked(client: Client) -> None:
        served = await fetch_served(client)
        assert served == PLAIN
        before = (await client.statistics())["mixed"]
        reply = await client.send(client.encode(Ask(inputs=INPUTS, outputs=served.asked(LEAN_OUTPUTS))))
        np.testing.assert_allclose(client.decode(reply).outputs["logits"], expected, rtol=1e-5)
        spent = await counted(client, before)
        assert spent.rows == ROWS
        assert spent.batches[ROWS].count == 1
        assert 0 < spent.compute_s < 10

    async def run() -> None:
        async with open_clients(targets_of(server), ["mixed"], WireOptions(is_json=is_json)) as clients:
            for client in clients.values():
                await asked(client)

    asyncio.run(run())


def test_what_it_refuses_is_refused(server: TritonServer) -> None:
    async def run() -> None:
        async with open_clients(targets_of(server), ["mixed"], WireOptions()) as clients:
            for client in clients.values():
                reply = await client.send(client.encode(Ask(inputs=INPUTS[:1], outputs=["logits"])))
                assert reply.status is Status.REFUSED
                assert "expected 2 inputs but got 1" in reply.detail

    asyncio.run(run())


def test_its_models_are_named(server: TritonServer) -> None:
    async def run() -> None:
        async with open_clients(targets_of(server), ["nope"], WireOptions()) as clients:
            for client in clients.values():
                with pytest.raises(TargetError, match="'nope' is not served there; there are: echo, mixed"):
                    await fetch_served(client)

    asyncio.run(run())


def test_which_output_is_meant_must_be_clear(server: TritonServer) -> None:
    async def run(output: str | None) -> ServedModel:
        async with open_clients(targets_of(server)[:1], ["echo"], WireOptions(output=output)) as clients:
            return await fetch_served(next(iter(clients.values())))

    with pytest.raises(
        TargetError, match="name it with --output; there are: FP16_back, FP32_back, FP64_back"
    ):
        asyncio.run(run(None))
    assert asyncio.run(run("FP64_back")).scores_output == "FP64_back"
