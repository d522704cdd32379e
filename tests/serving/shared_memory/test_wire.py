"""Shared memory by tritonclient, over both protocols."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from tests.repositories import Repository
from tests.servers import Server, serving
from tests.serving.raw_http import post

CLIENTS = [pytest.param(triton_http, id="http"), pytest.param(triton_grpc, id="grpc")]
ROWS = 5
IN_BYTES, OUT_BYTES = ROWS * 64, ROWS * 10 * 4
GAP = 24


@pytest.fixture(scope="module")
def open_server(repository: Repository) -> Iterator[Server]:
    with serving(repository.path, "--allow-shared-memory", "--max-body-bytes", str(2**20)) as running:
        yield running


def connect(module: ModuleType, server: Server) -> Any:
    return module.InferenceServerClient(server.http if module is triton_http else server.grpc)


def statuses(client: Any) -> list[tuple[str, str, int, int]]:
    if isinstance(client, triton_http.InferenceServerClient):
        entries = client.get_system_shared_memory_status()
    else:
        regions = client.get_system_shared_memory_status(as_json=True).get("regions", {})
        entries = list(regions.values())
    return [(e["name"], e["key"], int(e.get("offset", 0)), int(e["byte_size"])) for e in entries]


@pytest.mark.parametrize("module", CLIENTS)
def test_tensors_come_and_go_by_shared_memory(
    module: ModuleType, open_server: Server, repository: Repository
) -> None:
    images = repository.test.image[:ROWS]
    key = f"/exitgate-{uuid.uuid4().hex}"
    handle = shm.create_shared_memory_region("both", key, GAP + IN_BYTES + OUT_BYTES)
    try:
        shm.set_shared_memory_region(handle, [images], offset=GAP)
        tensor = module.InferInput("image", list(images.shape), "UINT8")
        plain = tensor.set_data_from_numpy(images)
        placed = module.InferInput("image", list(images.shape), "UINT8")
        placed.set_shared_memory("both", IN_BYTES, offset=GAP)
        wanted = [module.InferRequestedOutput(name) for name in ("label", "probabilities", "exit_reason")]
        wanted[1].set_shared_memory("both", OUT_BYTES, offset=GAP + IN_BYTES)
        with connect(module, open_server) as client:
            client.register_system_shared_memory("both", key, GAP + IN_BYTES + OUT_BYTES)
            assert statuses(client) == [("both", key, 0, GAP + IN_BYTES + OUT_BYTES)]
            expected = client.infer("digits", [plain])
            found = client.infer("digits", [placed], outputs=wanted)
            client.unregister_system_shared_memory("both")
            assert statuses(client) == []
        probabilities = shm.get_contents_as_numpy(
            handle, np.float32, [ROWS, 10], offset=GAP + IN_BYTES
        ).copy()
    finally:
        shm.destroy_shared_memory_region(handle)
    assert probabilities.tolist() == expected.as_numpy("probabilities").tolist()
    assert found.as_numpy("label").tolist() == expected.as_numpy("label").tolist()
    assert found.as_numpy("exit_reason").tolist() == expected.as_numpy("exit_reason").tolist()
    output = found.get_output("probabilities")
    if module is triton_http:
        assert output == {"name": "probabilities", "datatype": "FP32", "shape": [ROWS, 10]}
    else:
        told = {name: getattr(v, v.WhichOneof("parameter_choice")) for name, v in output.parameters.items()}
        assert told == {
            "shared_memory_region": "both",
            "shared_memory_byte_size": OUT_BYTES,
            "shared_memory_offset": GAP + IN_BYTES,
        }


@pytest.mark.parametrize("module", CLIENTS)
def test_it_is_refused_unless_it_is_allowed(module: ModuleType, server: Server, file: Path) -> None:
    placed = module.InferInput("image", [1, 8, 8, 1], "UINT8")
    placed.set_shared_memory("x", 64)
    with connect(module, server) as client:
        assert statuses(client) == []
        for act in (
            lambda: client.register_system_shared_memory("x", file.name, 64),
            lambda: client.unregister_system_shared_memory("x"),
            lambda: client.unregister_system_shared_memory(),
            lambda: client.infer("digits", [placed]),
        ):
            with pytest.raises(InferenceServerException, match="--allow-shared-memory allows it") as caught:
                act()
            assert caught.value.status() == ("501" if module is triton_http else "StatusCode.UNIMPLEMENTED")


@pytest.mark.parametrize("module", CLIENTS)
def test_a_file_cut_short_is_a_clear_error_and_the_server_lives(
    module: ModuleType, open_server: Server, file: Path
) -> None:
    """As an input, and as an output, which must not lengthen it again."""
    image = np.zeros((1, 8, 8, 1), np.uint8)
    plain = module.InferInput("image", [1, 8, 8, 1], "UINT8").set_data_from_numpy(image)
    placed = module.InferInput("image", [1, 8, 8, 1], "UINT8")
    placed.set_shared_memory("cut", 64, offset=100)
    wanted = module.InferRequestedOutput("probabilities")
    wanted.set_shared_memory("cut", 40, offset=100)
    with connect(module, open_server) as client:
        client.register_system_shared_memory("cut", file.name, 4096)
        try:
            assert client.infer("digits", [placed]).as_numpy("label").shape == (1,)
            os.truncate(file, 120)
            for inputs, outputs in (([placed], None), ([plain], [wanted])):
                with pytest.raises(InferenceServerException, match="ends before its tensor does") as caught:
                    client.infer("digits", inputs, outputs=outputs)
                assert caught.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")
            assert file.stat().st_size == 120
            assert client.infer("digits", [plain]).as_numpy("label").shape == (1,)
        finally:
            client.unregister_system_shared_memory()


@pytest.mark.parametrize("module", CLIENTS)
def test_outputs_that_do_not_fit_leave_everything_as_it_was(
    module: ModuleType, open_server: Server, file: Path
) -> None:
    """The first would fit."""
    plain = module.InferInput("image", [1, 8, 8, 1], "UINT8")
    plain.set_data_from_numpy(np.zeros((1, 8, 8, 1), np.uint8))
    wanted = [module.InferRequestedOutput(name) for name in ("label", "probabilities")]
    wanted[0].set_shared_memory("out", 8)
    wanted[1].set_shared_memory("out", 39, offset=8)
    file.write_bytes(b"\xaa" * 4096)
    with connect(module, open_server) as client:
        client.register_system_shared_memory("out", file.name, 4096)
        try:
            with pytest.raises(
                InferenceServerException, match="'probabilities' has 40 bytes, its place in shared memory 39"
            ):
                client.infer("digits", [plain], outputs=wanted)
        finally:
            client.unregister_system_shared_memory("out")
    assert file.read_bytes() == b"\xaa" * 4096


def test_cuda_memory_is_not_offered(server: Server) -> None:
    with triton_http.InferenceServerClient(server.http) as client:
        assert client.get_cuda_shared_memory_status() == []
        client.unregister_cuda_shared_memory()
        with pytest.raises(
            InferenceServerException, match="'x': CUDA shared memory is not offered"
        ) as caught:
            client.register_cuda_shared_memory("x", b"aGFuZGxl", 0, 64)
        assert caught.value.status() == "501"
        client.unregister_cuda_shared_memory("x")
    with triton_grpc.InferenceServerClient(server.grpc) as client:
        assert len(client.get_cuda_shared_memory_status().regions) == 0
        client.unregister_cuda_shared_memory()
        with pytest.raises(InferenceServerException, match="CUDA shared memory is not offered") as caught:
            client.register_cuda_shared_memory("x", b"aGFuZGxl", 0, 64)
        assert caught.value.status() == "StatusCode.UNIMPLEMENTED"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b'{"byte_size": 64}', "shared memory key 'None' must be one plain name"),
        (b'{"key": "KEY", "byte_size": "64"}', "byte_size is 64; it must be a whole number from 1"),
        (b'{"key": "KEY", "byte_size": 64, "byte_size": 65}', "the key 'byte_size' twice"),
        (b'{"key": "../etc/passwd", "byte_size": 64}', "must be one plain name"),
    ],
)
def test_malformed_registrations_over_http(
    document: bytes, message: str, open_server: Server, file: Path
) -> None:
    body = document.replace(b"KEY", file.name.encode())
    status, answer = post(open_server, body, "/v2/systemsharedmemory/region/x/register")
    assert (status, list(answer)) == (400, ["error"])
    assert message in answer["error"]
