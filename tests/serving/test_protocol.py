"""The protocol as clients see it: tritonclient over HTTP and gRPC, plain HTTP, and what is refused."""

import http.client
import json
import queue
import socket
import urllib.request
from types import ModuleType
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from cascade.cascade_file import cascade_from_json
from cascade.replay import replay
from tests.repositories import Repository
from tests.servers import Server

MODELS = ["digits", "digits-0", "digits-1", "digits-2"]
CLIENTS = [pytest.param(triton_http, id="http"), pytest.param(triton_grpc, id="grpc")]


def connect(module: ModuleType, server: Server) -> Any:
    return module.InferenceServerClient(server.http if module is triton_http else server.grpc)


def image_input(module: ModuleType, image: np.ndarray, datatype: str = "UINT8") -> Any:
    tensor = module.InferInput("image", list(image.shape), datatype)
    return tensor.set_data_from_numpy(image)


@pytest.mark.parametrize("module", CLIENTS)
def test_health_and_metadata(module: ModuleType, server: Server) -> None:
    with connect(module, server) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("digits")
        assert client.is_model_ready("digits", "1")
        kwargs = {"as_json": True} if module is triton_grpc else {}
        assert client.get_server_metadata(**kwargs)["name"] == "exitgate"
        metadata = client.get_model_metadata("digits", **kwargs)
    assert [int(d) for d in metadata["inputs"][0]["shape"]] == [-1, 8, 8, 1]
    assert [output["name"] for output in metadata["outputs"]] == [
        *("probabilities", "label", "score", "confidence", "accepted", "exit_stage", "exit_reason")
    ]


@pytest.mark.parametrize("module", CLIENTS)
def test_the_config_holds_the_cascade(module: ModuleType, server: Server, repository: Repository) -> None:
    with connect(module, server) as client:
        if module is triton_grpc:
            config = client.get_model_config("digits", as_json=True)["config"]
        else:
            config = client.get_model_config("digits")
    text = config["parameters"]["cascade"]["string_value"]
    assert cascade_from_json(json.loads(text), "config") == repository.cascade
    assert [int(d) for d in config["input"][0]["dims"]] == [8, 8, 1]
    assert int(config["max_batch_size"]) == 4096


@pytest.mark.parametrize("module", CLIENTS)
@pytest.mark.parametrize("policy", ["window", "threshold", "agreement", "first", "full"])
def test_answers_equal_the_replay(
    module: ModuleType, policy: str, server: Server, repository: Repository
) -> None:
    rows = np.arange(50)
    with connect(module, server) as client:
        result = client.infer(
            "digits",
            [image_input(module, repository.test.image[rows])],
            request_id="abc",
            parameters={"policy": policy},
        )
    played = replay(
        repository.cascade.policies[policy], repository.cascade.stages, repository.scores.rows(rows)
    )
    for name in ("label", "accepted", "exit_stage"):
        assert result.as_numpy(name).tolist() == getattr(played, name).tolist()
    for name in ("probabilities", "score", "confidence"):
        np.testing.assert_allclose(result.as_numpy(name), getattr(played, name), atol=1e-5)
    reasons = {"first": {b"first"}, "full": {b"last"}}.get(policy, {policy.encode(), b"last"})
    assert set(result.as_numpy("exit_reason").tolist()) <= reasons
    response = result.get_response()
    assert (response["id"] if module is triton_http else response.id) == "abc"


@pytest.mark.parametrize("module", CLIENTS)
def test_response_parameters_and_chosen_outputs(
    module: ModuleType, server: Server, repository: Repository
) -> None:
    with connect(module, server) as client:
        result = client.infer(
            "digits",
            [image_input(module, repository.test.image[:2])],
            model_version="1",
            outputs=[module.InferRequestedOutput("label")],
            parameters={"max_stages": 1},
        )
    assert result.as_numpy("score") is None
    assert result.as_numpy("label").shape == (2,)
    response = result.get_response()
    if module is triton_http:
        parameters = response["parameters"]
    else:
        parameters = {k: getattr(v, v.WhichOneof("parameter_choice")) for k, v in response.parameters.items()}
    assert parameters == {"policy": "window", "cascade_version": "1", "degraded": False}


REFUSED = [
    ({"model_name": "nope"}, "unknown model 'nope'; there are: digits", 404, "NOT_FOUND"),
    ({"model_version": "9"}, "has version 1, not '9'", 404, "NOT_FOUND"),
    ({"parameters": {"policy": "x"}}, "no policy 'x'; there are: window", 404, "NOT_FOUND"),
    ({"parameters": {"policy": 3}}, "'policy' must be a string", 400, "INVALID_ARGUMENT"),
    (
        {"parameters": {"max_stages": 0}},
        "'max_stages' must be a whole number from 1",
        400,
        "INVALID_ARGUMENT",
    ),
    ({"parameters": {"polcy": "x"}}, "unknown request parameter 'polcy'", 400, "INVALID_ARGUMENT"),
    (
        {"image": np.zeros((2, 8, 8), np.uint8)},
        r"has shape [-1, 8, 8, 1]; got [2, 8, 8]",
        400,
        "INVALID_ARGUMENT",
    ),
    ({"image": np.zeros((2, 8, 9, 1), np.uint8)}, "got [2, 8, 9, 1]", 400, "INVALID_ARGUMENT"),
    ({"image": np.zeros((0, 8, 8, 1), np.uint8)}, "shape holds 0", 400, "INVALID_ARGUMENT"),
    ({"image": np.zeros((4097, 8, 8, 1), np.uint8)}, "at most 4096", 413, "RESOURCE_EXHAUSTED"),
    ({"image": np.zeros((2, 8, 8, 1), np.float32)}, "'image' is UINT8; got FP32", 400, "INVALID_ARGUMENT"),
    ({"outputs": ["luck"]}, "unknown output 'luck'; there are: probabilities", 400, "INVALID_ARGUMENT"),
    ({"parameters": {"policy": ""}}, "has no policy ''", 404, "NOT_FOUND"),
    ({"parameters": {"policy": "x" * 100_000}}, "has no policy 'xxx", 404, "NOT_FOUND"),
    ({"parameters": {"max_stages": "9" * 100_000}}, "'max_stages' must be a whole", 400, "INVALID_ARGUMENT"),
    ({"extra": True}, "takes inputs image; got image, more", 400, "INVALID_ARGUMENT"),
]


@pytest.mark.parametrize("module", CLIENTS)
@pytest.mark.parametrize(("change", "message", "status", "code"), REFUSED)
def test_bad_requests_get_a_clear_error_and_harm_nobody(
    module: ModuleType, change: dict[str, Any], message: str, status: int, code: str, server: Server
) -> None:
    image = change.get("image", np.zeros((2, 8, 8, 1), np.uint8))
    inputs = [image_input(module, image, "FP32" if image.dtype == np.float32 else "UINT8")]
    if "extra" in change:
        more = module.InferInput("more", [1], "UINT8")
        inputs.append(more.set_data_from_numpy(np.zeros(1, np.uint8)))
    arguments: dict[str, Any] = {"model_version": change.get("model_version", "")}
    if "parameters" in change:
        arguments["parameters"] = change["parameters"]
    if "outputs" in change:
        arguments["outputs"] = [module.InferRequestedOutput(name) for name in change["outputs"]]
    with connect(module, server) as client:
        with pytest.raises(InferenceServerException) as caught:
            client.infer(change.get("model_name", "digits"), inputs, **arguments)
        assert message in str(caught.value)
        assert caught.value.status() == (str(status) if module is triton_http else f"StatusCode.{code}")
        good = client.infer("digits", [image_input(module, np.zeros((1, 8, 8, 1), np.uint8))])
        assert good.as_numpy("label").shape == (1,)


def test_curl_gets_json(server: Server, repository: Repository) -> None:
    body = {
        "inputs": [
            {
                "name": "image",
                "datatype": "UINT8",
                "shape": [1, 8, 8, 1],
                "data": repository.test.image[0].ravel().tolist(),
            }
        ],
        "parameters": {"policy": "full"},
    }
    url = f"http://{server.http}/v2/models/digits/infer"
    with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=10) as response:
        answer = json.load(response)
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    assert outputs["exit_stage"] == [3]
    assert outputs["exit_reason"] == ["last"]
    assert sum(outputs["probabilities"]) == pytest.approx(1.0)
    assert answer["parameters"]["policy"] == "full"


def raw(server: Server, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
    host, port = server.http.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): v for name, v in headers.items()})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "message"),
    [
        ("GET", "/v2/models/nope", {}, 404, "unknown model 'nope'"),
        ("GET", "/v2/models/digits/versions/7/config", {}, 404, "has version 1, not '7'"),
        ("GET", "/nowhere", {}, 404, "Not Found: GET /nowhere"),
        ("GET", "/v2/models/digits/infer", {}, 404, "Not Found"),
        ("POST", "/v2/models/digits", {}, 405, "Method Not Allowed"),
        ("POST", "/v3/infer", {}, 404, "no such route"),
        ("POST", "/v2/models/digits%2Finfer", {}, 404, "Not Found"),
        ("POST", "/v2/models/digits/infer", {}, 400, "not JSON"),
        ("POST", "/v2/models/digits/infer", {"Inference_Header_Content_Length": "-1"}, 400, "is no length"),
        ("POST", "/v2/models/digits/infer", {"Inference_Header_Content_Length": "99"}, 400, "does not fit"),
        ("POST", "/v2/models/digits/infer", {"Content_Encoding": "gzip"}, 400, "gzip is cut off"),
    ],
)
def test_http_errors_are_the_protocols(
    method: str, path: str, headers: dict[str, str], status: int, message: str, server: Server
) -> None:
    code, answer = raw(server, method, path, b"x" if method == "POST" else b"", **headers)
    assert code == status
    assert list(answer) == ["error"]
    assert message in answer["error"]


def test_a_body_over_the_limit_is_refused_before_it_is_read(server: Server) -> None:
    host, port = server.http.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
        )
        assert b"413" in connection.recv(4096).split(b"\r\n")[0]


def test_a_body_in_tiny_chunks_is_joined(server: Server) -> None:
    body = json.dumps(
        {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1], "data": [0] * 64}]}
    ).encode()
    host, port = server.http.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request(
        "POST", "/v2/models/digits/infer", iter([bytes([b]) for b in body]), encode_chunked=True
    )
    assert connection.getresponse().status == 200
    connection.close()


def test_json_over_its_limit_is_refused(server: Server) -> None:
    status, answer = raw(server, "POST", "/v2/models/digits/infer", b"[" * (8 * 2**20 + 1))
    assert status == 413
    assert "more than 8388608 bytes of JSON" in answer["error"]


def test_grpc_counts_raw_contents_and_bounds_typed_ones(server: Server) -> None:
    request = service_pb2.ModelInferRequest(model_name="digits", raw_input_contents=[b"", b""])
    tensor = request.inputs.add(name="image", datatype="UINT8", shape=[1, 8, 8, 1])
    with grpc.insecure_channel(server.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="2 raw_input_contents for 1 inputs"):
            stub.ModelInfer(request, timeout=10)
        del request.raw_input_contents[:]
        tensor.contents.uint_contents.extend([1] * (9 * 2**20))
        with pytest.raises(grpc.RpcError, match="use raw_input_contents"):
            stub.ModelInfer(request, timeout=10)


def test_grpc_takes_typed_contents_and_refuses_both(server: Server) -> None:
    request = service_pb2.ModelInferRequest(model_name="digits")
    tensor = request.inputs.add(name="image", datatype="UINT8", shape=[1, 8, 8, 1])
    tensor.contents.uint_contents.extend([0] * 64)
    with grpc.insecure_channel(server.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert len(stub.ModelInfer(request, timeout=10).raw_output_contents) == 7
        request.raw_input_contents.append(bytes(64))
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(request, timeout=10)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "has contents, and its data in raw form too" in caught.value.details()


def test_grpc_decodes_many_typed_contents(server: Server, repository: Repository) -> None:
    """So many that another thread does it."""
    rows = np.tile(repository.test.image[:256], (16, 1, 1, 1))
    request = service_pb2.ModelInferRequest(model_name="digits")
    tensor = request.inputs.add(name="image", datatype="UINT8", shape=rows.shape)
    tensor.contents.uint_contents.extend(rows.ravel().tolist())
    assert request.ByteSize() > 256 * 1024
    with grpc.insecure_channel(server.grpc) as channel:
        typed = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=10)
    with connect(triton_grpc, server) as client:
        raw_contents = client.infer("digits", [image_input(triton_grpc, rows)])
    assert (
        triton_grpc.InferResult(typed).as_numpy("label").tolist() == raw_contents.as_numpy("label").tolist()
    )


def test_a_model_that_is_not_there_is_not_ready(server: Server) -> None:
    for module in (triton_http, triton_grpc):
        with connect(module, server) as client:
            assert not client.is_model_ready("nope")
            assert not client.is_model_ready("digits", "7")


@pytest.mark.parametrize("module", CLIENTS)
def test_the_classification_extension_is_not_offered(module: ModuleType, server: Server) -> None:
    wanted = [module.InferRequestedOutput("label", class_count=3)]
    with connect(module, server) as client:
        with pytest.raises(InferenceServerException, match="classification extension is not") as caught:
            client.infer("digits", [image_input(module, np.zeros((1, 8, 8, 1), np.uint8))], outputs=wanted)
        assert caught.value.status() == ("501" if module is triton_http else "StatusCode.UNIMPLEMENTED")


@pytest.mark.parametrize("module", CLIENTS)
def test_statistics_count_rows_by_member(module: ModuleType, server: Server, repository: Repository) -> None:
    def executed(client: Any) -> dict[str, int]:
        kwargs = {"as_json": True} if module is triton_grpc else {}
        entries = client.get_inference_statistics(**kwargs)["model_stats"]
        return {entry["name"]: int(entry.get("inference_count", 0)) for entry in entries}

    with connect(module, server) as client:
        before = executed(client)
        client.infer(
            "digits", [image_input(module, repository.test.image[:9])], parameters={"policy": "full"}
        )
        after = executed(client)
    assert {name: after[name] - before[name] for name in after} == dict.fromkeys(after, 9)
    assert set(after) == {"digits", "digits-0", "digits-1", "digits-2"}


def test_prometheus_counts_exits(server: Server, repository: Repository) -> None:
    def exits() -> float:
        with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        wanted = 'exitgate_exits_total{model="digits",policy="first",reason="first",stage="1"}'
        return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))

    before = exits()
    with connect(triton_http, server) as client:
        client.infer(
            "digits", [image_input(triton_http, repository.test.image[:5])], parameters={"policy": "first"}
        )
    assert exits() - before == 5


@pytest.mark.parametrize("module", CLIENTS)
def test_the_index_names_every_cascade(module: ModuleType, server: Server) -> None:
    with connect(module, server) as client:
        kwargs = {"as_json": True} if module is triton_grpc else {}
        index = client.get_model_repository_index(**kwargs)
    models = index["models"] if module is triton_grpc else index
    assert [(model["name"], model["version"], model["state"]) for model in models] == [
        (name, "1", "READY") for name in MODELS
    ]


def test_the_index_takes_a_filter_and_nothing_else(server: Server) -> None:
    code, answer = raw(server, "POST", "/v2/repository/index", b'{"ready": true}')
    assert (code, [model["name"] for model in answer]) == (200, MODELS)
    for body in (b"{", b"[]", b'{"ready": 1}'):
        code, answer = raw(server, "POST", "/v2/repository/index", body)
        assert code == 400 and list(answer) == ["error"]


def test_a_stream_answers_in_order_and_survives_an_error(server: Server, repository: Repository) -> None:
    images = np.random.default_rng(0).integers(0, 17, (6, 8, 8, 1), np.uint8)
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with triton_grpc.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for number in range(6):
            rows = images[: number + 1]
            name = "nope" if number == 2 else "digits"
            client.async_stream_infer(name, [image_input(triton_grpc, rows)], request_id=str(number))
        found = [answers.get(timeout=10) for _ in range(6)]
        client.stop_stream()
    for number, (result, error) in enumerate(found):
        if number == 2:
            assert result is None and "unknown model 'nope'" in str(error)
        else:
            assert result.get_response().id == str(number)
            assert result.as_numpy("label").shape == (number + 1,)
