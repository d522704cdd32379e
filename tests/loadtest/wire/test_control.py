"""What servers say of themselves: ours, others', and broken ones, each of which makes one clear line."""

import asyncio
import json
from typing import Any

import pytest

from cascade.cascade_file import TensorSpec, cascade_to_json
from loadtest.errors import TargetError
from loadtest.wire.clients import fetch_served, open_clients
from loadtest.wire.control import describe_model, fetch_statistics
from loadtest.wire.model_statistics import Batches, ModelStatistics
from loadtest.wire.options import WireOptions
from loadtest.wire.served import ServedModel
from loadtest.wire.targets import parse_target
from tests.loadtest.tiny_server import PLAIN, PLAIN_METADATA, TinyServer, tiny_cascade

CONFIG, STATS, METADATA = "/v2/models/tiny/config", "/v2/models/stats", "/v2/models/tiny"
BELIED = "is not what the protocol says"
URLS = ("http_url", "grpc_url")


class Sayings:
    """A server's words, None for what it does not know."""

    url = "http://there:1"

    def __init__(
        self, *, config: Any = None, metadata: Any = None, statistics: Any = None, index: Any = None
    ) -> None:
        self._config, self._metadata, self._statistics, self._index = config, metadata, statistics, index

    async def config(self, model: str) -> Any:
        return self._config

    async def metadata(self, model: str) -> Any:
        return self._metadata

    async def statistics(self) -> Any:
        return self._statistics

    async def index(self) -> Any:
        return self._index


async def described(url: str, model: str, output: str | None = None) -> ServedModel:
    async with open_clients([parse_target(url)], [model], WireOptions(output=output)) as clients:
        (client,) = clients.values()
        return await fetch_served(client)


async def counted(url: str) -> dict[str, ModelStatistics]:
    async with open_clients([parse_target(url)], ["tiny"], WireOptions()) as clients:
        (client,) = clients.values()
        return dict(await client.statistics())


@pytest.mark.parametrize("url", URLS)
def test_a_cascade_is_told_by_its_configuration(server: TinyServer, url: str) -> None:
    served = asyncio.run(described(getattr(server, url), "tiny"))
    assert served.cascade is not None
    assert cascade_to_json(served.cascade) == cascade_to_json(tiny_cascade())
    assert (served.num_stages, served.num_classes, served.scores_output) == (2, 2, None)


@pytest.mark.parametrize("url", URLS)
def test_a_plain_model_is_told_by_its_metadata(server: TinyServer, url: str) -> None:
    served = asyncio.run(described(getattr(server, url), PLAIN))
    assert served == ServedModel(
        name=PLAIN,
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),),
        outputs=("logits",),
        scores_output="logits",
    )


@pytest.mark.parametrize("url", URLS)
def test_which_output_is_meant_may_be_said(server: TinyServer, url: str) -> None:
    with pytest.raises(TargetError, match=r"'tiny-0' has no output 'x' .* there are: logits"):
        asyncio.run(described(getattr(server, url), PLAIN, "x"))


@pytest.mark.parametrize("url", URLS)
def test_models_that_are_served_are_named(server: TinyServer, url: str) -> None:
    with pytest.raises(TargetError) as caught:
        asyncio.run(described(getattr(server, url), "nope"))
    assert str(caught.value) == (
        f"{getattr(server, url)}: model 'nope' is not served there; there are: tiny, tiny-0, tiny-1"
    )


def test_a_server_without_statistics_tells_its_models_by_its_index() -> None:
    """Triton's index holds those that are not loaded, too."""
    models = [{"name": "a", "state": "READY"}, {"name": "b", "state": "UNAVAILABLE"}, {"name": "c"}]
    assert asyncio.run(_names_by(models)) == "there are: a, c"
    assert asyncio.run(_names_by(None)) == "there are: none"


async def _names_by(index: Any) -> str:
    with pytest.raises(TargetError) as caught:
        await describe_model(Sayings(index=index), "nope", None)
    return str(caught.value).partition("; ")[2]


def test_no_configuration_is_needed() -> None:
    """It is Triton's extension."""
    served = asyncio.run(describe_model(Sayings(metadata=PLAIN_METADATA), PLAIN, None))
    assert served.inputs == (TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),)


def test_outputs_that_can_t_be_read_are_left_alone() -> None:
    outputs = [
        {"name": "half", "datatype": "BF16", "shape": [-1, 2]},
        {"name": "scalar", "datatype": "FP32", "shape": []},
        {"name": "fixed", "datatype": "FP32", "shape": [1, 2]},
        {"name": "logits", "datatype": "FP32", "shape": ["-1", "2"]},
    ]
    metadata = {**PLAIN_METADATA, "outputs": outputs}
    assert asyncio.run(describe_model(Sayings(metadata=metadata), "m", None)).outputs == ("logits",)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (
            {"name": "x", "datatype": "FP32", "shape": [3, 2]},
            r"model 'm' can't be asked: input 'x': shape \[3, 2\]",
        ),
        ({"name": "x", "datatype": "BF16", "shape": [-1, 2]}, "datatype 'BF16' is unknown"),
        ({"name": "x", "shape": [-1, 2]}, f"the metadata of 'm' {BELIED}"),
        ({"name": "x", "datatype": "FP32", "shape": ["a"]}, f"the metadata of 'm' {BELIED}"),
    ],
)
def test_inputs_that_can_t_be_sent_are_named(tensor: dict[str, Any], message: str) -> None:
    metadata = {**PLAIN_METADATA, "inputs": [tensor]}
    with pytest.raises(TargetError, match=message):
        asyncio.run(describe_model(Sayings(metadata=metadata), "m", None))


@pytest.mark.parametrize(
    ("control", "message"),
    [
        ({CONFIG: {"parameters": None}}, "'tiny' is not served there; there are: tiny, tiny-0, tiny-1"),
        ({CONFIG: {"parameters": []}}, "'tiny' is not served there"),
        ({CONFIG: {"parameters": {"cascade": "x"}}}, BELIED),
        ({CONFIG: {"parameters": {"cascade": {"string_value": 5}}}}, "string_value is 5"),
        ({CONFIG: {"parameters": {"cascade": {"string_value": "{"}}}}, BELIED),
        ({CONFIG: {"parameters": {"cascade": {"string_value": "[]"}}}}, "cascade 'tiny'"),
        ({CONFIG: []}, BELIED),
        ({CONFIG: {}, METADATA: {"inputs": []}}, f"the metadata of 'tiny' {BELIED}"),
        ({CONFIG: {}, METADATA: []}, f"the metadata of 'tiny' {BELIED}"),
        ({CONFIG: {}, STATS: {"model_stats": None}}, f"the statistics of its models {BELIED}"),
        ({CONFIG: {}, STATS: {"model_stats": [{"name": []}, 3]}}, BELIED),
    ],
)
def test_a_foreign_answer_is_one_line(server: TinyServer, control: dict[str, Any], message: str) -> None:
    server.control = control
    with pytest.raises(TargetError) as caught:
        asyncio.run(described(server.http_url, "tiny"))
    assert str(caught.value).startswith(f"{server.http_url}: ") and "\n" not in str(caught.value)
    assert message in str(caught.value)


def test_statistics_are_the_same_over_both_protocols(server: TinyServer) -> None:
    server.executed.update({"tiny": 7, "tiny-0": 7, "tiny-1": 3})
    expected = {name: ModelStatistics(rows=rows) for name, rows in server.executed.items()}
    for url in URLS:
        assert asyncio.run(counted(getattr(server, url))) == expected


TRITON_STATS = {
    "name": "m",
    "version": "1",
    "inference_count": "12",
    "inference_stats": {"queue": {"count": "5", "ns": "2500000000"}},
    "batch_stats": [
        {
            "batch_size": "4",
            "compute_input": {"count": "3", "ns": "1000000000"},
            "compute_infer": {"count": "3", "ns": "2000000000"},
            "compute_output": {"count": "3", "ns": "500000000"},
        }
    ],
}


def test_numbers_may_be_text_as_over_grpc() -> None:
    for statistics in (TRITON_STATS, json.loads(json.dumps(TRITON_STATS).replace('"12"', "12"))):
        told = asyncio.run(fetch_statistics(Sayings(statistics={"model_stats": [statistics]})))
        batches = {4: Batches(count=3, seconds=3.5)}
        assert told == {"m": ModelStatistics(rows=12, queue_s=2.5, batches=batches)}


def test_no_statistics_is_an_error_of_its_own() -> None:
    with pytest.raises(TargetError, match="http://there:1: there are no statistics of models"):
        asyncio.run(fetch_statistics(Sayings()))


def test_a_server_in_trouble_is_quoted(server: TinyServer) -> None:
    server.is_statistics_broken = True
    with pytest.raises(TargetError, match="/v2/models/stats answers 500: no statistics"):
        asyncio.run(counted(server.http_url))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "grpc://127.0.0.1:1"])
def test_a_server_that_is_not_there_is_named(url: str) -> None:
    with pytest.raises(TargetError, match=f"{url}: cannot be reached"):
        asyncio.run(described(url, "tiny"))
