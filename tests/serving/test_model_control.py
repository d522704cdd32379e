"""Loading and unloading over both protocols, and how it is refused."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from tests.repositories import Repository, make_repository
from tests.servers import Server, serving
from tests.serving.raw_http import post

CLIENTS = [pytest.param(triton_http, id="http"), pytest.param(triton_grpc, id="grpc")]
LOAD = "/v2/repository/models/digits/load"
UNLOAD = "/v2/repository/models/digits/unload"


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Repository]]:
    repository = make_repository(tmp_path_factory.mktemp("control"))
    with serving(repository.path, "--allow-model-control") as running:
        yield running, repository


def connect(module: ModuleType, server: Server) -> Any:
    return module.InferenceServerClient(server.http if module is triton_http else server.grpc)


def code(status: int, name: str, module: ModuleType) -> str:
    return str(status) if module is triton_http else f"StatusCode.{name}"


def infer(module: ModuleType, client: Any) -> Any:
    tensor = module.InferInput("image", [1, 8, 8, 1], "UINT8")
    tensor.set_data_from_numpy(np.zeros((1, 8, 8, 1), np.uint8))
    return client.infer("digits", [tensor]).as_numpy("label")


@pytest.mark.parametrize("module", CLIENTS)
def test_it_is_refused_unless_it_is_allowed(module: ModuleType, server: Server) -> None:
    with connect(module, server) as client:
        for act, verb in ((client.load_model, "load"), (client.unload_model, "unload")):
            with pytest.raises(
                InferenceServerException, match=f"does not {verb} models; --allow-model-control allows it"
            ) as caught:
                act("digits")
            assert caught.value.status() == code(501, "UNIMPLEMENTED", module)
        assert infer(module, client).shape == (1,)


@pytest.mark.parametrize("module", CLIENTS)
def test_what_is_unloaded_comes_back(module: ModuleType, open_server: tuple[Server, Repository]) -> None:
    with connect(module, open_server[0]) as client:
        client.unload_model("digits")
        assert not client.is_model_ready("digits")
        with pytest.raises(InferenceServerException, match="unknown model 'digits'"):
            infer(module, client)
        client.load_model("digits")
        assert client.is_model_ready("digits")
        assert infer(module, client).shape == (1,)
        client.unload_model("digits", unload_dependents=True)
        client.load_model("digits")
        client.load_model("digits")
        assert infer(module, client).shape == (1,)


@pytest.mark.parametrize("module", CLIENTS)
def test_what_is_not_there_is_not_found(module: ModuleType, open_server: tuple[Server, Repository]) -> None:
    with connect(module, open_server[0]) as client:
        for act in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="'nope'") as caught:
                act("nope")
            assert caught.value.status() == code(404, "NOT_FOUND", module)


@pytest.mark.parametrize("module", CLIENTS)
def test_a_configuration_and_files_are_refused_by_name(
    module: ModuleType, open_server: tuple[Server, Repository]
) -> None:
    with connect(module, open_server[0]) as client:
        for arguments, name in (
            ({"config": "{}"}, "config"),
            ({"files": {"file:1/model.onnx": b"x"}}, "file:1/model.onnx"),
        ):
            with pytest.raises(InferenceServerException, match=f"load parameter '{name}' is not") as caught:
                client.load_model("digits", **arguments)
            assert caught.value.status() == code(501, "UNIMPLEMENTED", module)
        assert client.is_model_ready("digits")


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (LOAD, b'{"parameters": {"speed": 1}}', 400, "unknown load parameter 'speed'"),
        (LOAD, b'{"parameters": {"unload_dependents": true}}', 400, "unknown load parameter"),
        (LOAD, b'{"parameters": 1}', 400, "parameters must be a JSON object"),
        (LOAD, b"[]", 400, "must be a JSON object"),
        (LOAD, b"{", 400, "not JSON"),
        (LOAD, b"[" * 2**20 + b"[", 413, "a body of more than 1048576 bytes"),
        (UNLOAD, b'{"parameters": {"unload_dependents": 1}}', 400, "must be true or false"),
        (UNLOAD, b'{"parameters": {"config": "x"}}', 501, "unload parameter 'config'"),
        ("/v2/repository/models/..%2F..%2Fdigits/load", b"", 404, "Not Found"),
        ("/v2/repository/models/digits-0/unload", b"", 400, "is a member, and no cascade"),
    ],
)
def test_malformed_control_is_refused(
    path: str, body: bytes, status: int, message: str, open_server: tuple[Server, Repository]
) -> None:
    code, document = post(open_server[0], body, path)
    assert (code, list(document)) == (status, ["error"])
    assert message in document["error"]


def test_a_bad_file_tells_no_path(open_server: tuple[Server, Repository], tmp_path: Path) -> None:
    server, repository = open_server
    good = repository.file.read_text()
    repository.file.write_text("{")
    try:
        status, document = post(server, b"", LOAD)
    finally:
        repository.file.write_text(good)
    assert status == 400
    assert str(repository.path) not in document["error"]
    with triton_http.InferenceServerClient(server.http) as client:
        assert infer(triton_http, client).shape == (1,)
