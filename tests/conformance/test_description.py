"""What a server says of itself and of its models."""

import time
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.conformance.clients import Client, RunningServer
from tests.conformance.targets import INPUT, VERSION, Target
from tests.repositories import CLASSES

NOWHERE = "no-such-model"
PAUSE_S = 0.03
LOG_SETTINGS = {"log_info", "log_warning", "log_error", "log_verbose_level"}
TRACE_SETTINGS = {"trace_level"}
ALWAYS = {"binary_tensor_data", "model_configuration", "model_repository", "parameters", "statistics"}
SWITCHED_ON = {"system_shared_memory", "schedule_policy", "logging"}


def numbers(values: Any) -> list[int]:
    return [int(value) for value in values]


def named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (entry,) = (entry for entry in entries if entry["name"] == name)
    return entry


def test_a_server_is_live_and_ready(server_client: Client) -> None:
    assert server_client.is_server_live() is True
    assert server_client.is_server_ready() is True


def test_a_server_tells_name_version_and_extensions(server_client: Client) -> None:
    metadata = server_client.document("get_server_metadata")
    assert isinstance(metadata["name"], str) and metadata["name"]
    assert isinstance(metadata["version"], str) and metadata["version"]
    assert set(metadata["extensions"]) >= ALWAYS


def test_what_is_switched_on_is_announced(server_client: Client) -> None:
    assert set(server_client.document("get_server_metadata")["extensions"]) >= SWITCHED_ON


def test_a_model_is_ready_by_name_and_by_version(client: Client, target: Target) -> None:
    assert client.is_model_ready(target.model) is True
    assert client.is_model_ready(target.model, VERSION) is True


def test_what_is_not_there_is_not_ready_without_an_error(client: Client, target: Target) -> None:
    assert client.is_model_ready(NOWHERE) is False
    assert client.is_model_ready(target.model, "9") is False


@pytest.mark.parametrize("version", ["", VERSION])
def test_metadata_of_a_model(version: str, client: Client, target: Target) -> None:
    metadata = client.document("get_model_metadata", target.model, version)
    assert (metadata["name"], metadata["versions"]) == (target.model, [VERSION])
    assert isinstance(metadata["platform"], str)
    image, output = metadata["inputs"][0], named(metadata["outputs"], target.output)
    assert (image["name"], image["datatype"], numbers(image["shape"])) == (INPUT, "UINT8", [-1, 8, 8, 1])
    assert (output["datatype"], numbers(output["shape"])) == ("FP32", [-1, CLASSES])
    assert len(metadata["inputs"]) == 1


@pytest.mark.parametrize("version", ["", VERSION])
def test_configuration_of_a_model(version: str, client: Client, target: Target) -> None:
    """What metadata says, in the words of Triton's configuration, where the batch is no dimension."""
    document = client.document("get_model_config", target.model, version)
    config = document if client.is_http else document["config"]
    image, output = config["input"][0], named(config["output"], target.output)
    assert config["name"] == target.model
    assert int(config["max_batch_size"]) >= 32
    assert (image["name"], image["data_type"], numbers(image["dims"])) == (INPUT, "TYPE_UINT8", [8, 8, 1])
    assert (output["data_type"], numbers(output["dims"])) == ("TYPE_FP32", [CLASSES])


@pytest.mark.parametrize("version", ["", VERSION])
def test_statistics_rise_by_what_was_sent(version: str, client: Client, target: Target) -> None:
    before = settled(client, target, version)
    for rows in (1, 4, 7):
        client.infer(target.model, [client.input(INPUT, target.images(0, rows))])
    after = settled(client, target, version)
    assert count(after, "inference_count") - count(before, "inference_count") == 12
    assert count(after, "execution_count") - count(before, "execution_count") == 3
    success, earlier = (entry["inference_stats"]["success"] for entry in (after, before))
    assert count(success, "count") - count(earlier, "count") == 3
    assert count(success, "ns") > count(earlier, "ns")


@pytest.mark.parametrize("part", ["queue", "compute_input", "compute_infer", "compute_output"])
def test_statistics_tell_where_the_time_went(part: str, client: Client, target: Target) -> None:
    """perf_analyzer finds the version that it measures by the one whose queue has grown."""
    client.infer(target.model, [client.input(INPUT, target.images(0, 2))])
    before = settled(client, target)["inference_stats"][part]
    client.infer(target.model, [client.input(INPUT, target.images(0, 2))])
    after = settled(client, target)["inference_stats"][part]
    assert count(after, "count") - count(before, "count") == 1
    assert count(after, "ns") >= count(before, "ns")


def statistics(client: Client, target: Target, version: str = "") -> dict[str, Any]:
    stats = client.document("get_inference_statistics", target.model, version)["model_stats"]
    entry = named(stats, target.model)
    assert entry["version"] == VERSION
    return entry


def settled(client: Client, target: Target, version: str = "") -> dict[str, Any]:
    """Once they rest: Triton counts a moment after it has answered."""
    earlier: dict[str, Any] = {}
    while (now := statistics(client, target, version)) != earlier:
        earlier = now
        time.sleep(PAUSE_S)
    return now


def count(entry: dict[str, Any], name: str) -> int:
    return int(entry.get(name, 0))


def test_statistics_of_all_models(client: Client, target: Target) -> None:
    stats = client.document("get_inference_statistics")["model_stats"]
    assert named(stats, target.model)["version"] == VERSION


def test_the_index_names_the_model(client: Client, target: Target) -> None:
    document = client.document("get_model_repository_index")
    entry = named(document if client.is_http else document["models"], target.model)
    assert (entry["version"], entry["state"]) == (VERSION, "READY")


def test_trace_settings(client: Client, target: Target) -> None:
    for model in ((), (target.model,)):
        document = client.document("get_trace_settings", *model)
        assert set(document if client.is_http else document["settings"]) >= TRACE_SETTINGS


def test_log_settings(server_client: Client) -> None:
    document = server_client.document("get_log_settings")
    assert set(document if server_client.is_http else document["settings"]) >= LOG_SETTINGS


def test_settings_that_change_nothing_may_be_written(server_client: Client) -> None:
    before = server_client.get_log_settings(), server_client.get_trace_settings()
    written = (
        server_client.update_log_settings({"log_verbose_level": 0, "log_info": True}),
        server_client.update_trace_settings(settings={"trace_level": ["OFF"]}),
    )
    assert written == before


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService"])
def test_grpc_health(service: str, server: RunningServer) -> None:
    """What Kubernetes' gRPC probe and Envoy ask."""
    with grpc.insecure_channel(server.grpc) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
