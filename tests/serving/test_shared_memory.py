"""System shared memory: tensors by tritonclient over both protocols, and all that a region must not be."""

import json
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
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

from serving.errors import InvalidRequest, NotFound, TooLarge, Unsupported
from serving.grpc import codec as grpc_codec
from serving.http.codec import decode
from serving.shared_memory import MAX_REGIONS, SharedMemory, write_outputs
from tests.repositories import Repository
from tests.servers import Server, serving
from tests.serving.intakes import intake, spec
from tests.serving.raw_http import post

CLIENTS = [pytest.param(triton_http, id="http"), pytest.param(triton_grpc, id="grpc")]
ROWS = 5
IN_BYTES, OUT_BYTES = ROWS * 64, ROWS * 10 * 4
GAP = 24


@pytest.fixture(scope="module")
def open_server(repository: Repository) -> Iterator[Server]:
    with serving(repository.path, "--allow-shared-memory", "--max-body-bytes", str(2**20)) as running:
        yield running


@pytest.fixture
def file() -> Iterator[Path]:
    """4 KB of shared memory, under a name of its own."""
    path = Path("/dev/shm") / f"exitgate-{uuid.uuid4().hex}"
    path.write_bytes(bytes(4096))
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    found = SharedMemory(is_allowed=True, max_read_bytes=2000)
    yield found
    found.close()


def num_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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


@pytest.mark.parametrize(
    "key", ["", "/", ".", "..", "/..", "a/b", "/a/b", "../x", "a\0b", "x" * 256, None, 7, "é" * 128]
)
def test_a_key_is_one_plain_name(key: Any, memory: SharedMemory) -> None:
    with pytest.raises(InvalidRequest, match="must be one plain name"):
        memory.register("x", key, 0, 64)


def test_a_leading_slash_is_optional(file: Path, memory: SharedMemory) -> None:
    memory.register("with", "/" + file.name, 0, 64)
    memory.register("without", file.name, 64, 64)
    assert [entry["key"] for entry in memory.status()] == ["/" + file.name, file.name]


def test_links_pipes_and_folders_are_no_shared_memory(file: Path, memory: SharedMemory) -> None:
    link, pipe, folder = (file.with_name(f"{file.name}-{kind}") for kind in ("link", "pipe", "folder"))
    link.symlink_to("/etc/passwd")
    os.mkfifo(pipe)
    folder.mkdir()
    try:
        before = num_open_files()
        for path, message in (
            (link, "cannot be opened"),
            (pipe, "is no shared"),
            (folder, "cannot be opened"),
        ):
            with pytest.raises(InvalidRequest, match=message) as caught:
                memory.register("x", path.name, 0, 1)
            assert "/dev/shm" not in str(caught.value)
        assert num_open_files() == before
    finally:
        link.unlink()
        pipe.unlink()
        folder.rmdir()


@pytest.mark.parametrize(
    ("offset", "byte_size", "message"),
    [
        (0, 4097, "end at 4097; the shared memory with key '.*' has 4096"),
        (4096, 1, "end at 4097"),
        (-1, 64, "offset is -1; it must be a whole number from 0"),
        (0, 0, "byte_size is 0; it must be a whole number from 1"),
        (True, 64, "offset is True"),
        (0, 1.5, "byte_size is 1.5"),
        (2**63, 1, "offset is 9223372036854775808"),
        (2**63 - 1, 2**63 - 1, "end at 18446744073709551614"),
    ],
)
def test_a_region_lies_within_its_file(
    offset: Any, byte_size: Any, message: str, file: Path, memory: SharedMemory
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        memory.register("x", file.name, offset, byte_size)
    assert memory.status() == []


def test_names_are_registered_once_and_bounded(file: Path, memory: SharedMemory) -> None:
    memory.register("x", file.name, 0, 64)
    with pytest.raises(InvalidRequest, match="region 'x' is registered already"):
        memory.register("x", file.name, 0, 64)
    for name in ("", "x" * 256):
        with pytest.raises(InvalidRequest, match="a name of 1 to 255"):
            memory.register(name, file.name, 0, 64)
    for number in range(MAX_REGIONS - 1):
        memory.register(str(number), file.name, 0, 64)
    with pytest.raises(TooLarge, match="256 shared memory regions are registered"):
        memory.register("one more", file.name, 0, 64)
    memory.unregister("x")
    memory.register("one more", file.name, 0, 64)


def test_files_are_closed_on_unregistering_and_at_the_end(file: Path, memory: SharedMemory) -> None:
    before = num_open_files()
    for name in "abcd":
        memory.register(name, file.name, 0, 64)
    assert num_open_files() == before + 4
    memory.unregister("a")
    assert num_open_files() == before + 3
    memory.unregister()
    assert (num_open_files(), memory.status()) == (before, [])
    memory.register("a", file.name, 0, 64)
    memory.close()
    assert num_open_files() == before


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"shared_memory_region": "nope"}, NotFound, "unknown shared memory region 'nope'"),
        ({"shared_memory_region": 7}, InvalidRequest, "shared_memory_region must be a name"),
        ({"shared_memory_byte_size": 64}, InvalidRequest, "but no shared_memory_region"),
        ({"shared_memory_region": "x"}, InvalidRequest, "shared_memory_byte_size is None"),
        ({"shared_memory_region": "x", "shared_memory_byte_size": -1}, InvalidRequest, "byte_size is -1"),
        (
            {"shared_memory_region": "x", "shared_memory_byte_size": 64, "shared_memory_offset": -1},
            InvalidRequest,
            "offset is -1",
        ),
        (
            {"shared_memory_region": "x", "shared_memory_byte_size": 64, "shared_memory_offset": 37},
            InvalidRequest,
            "bytes 37 to 101 of shared memory region 'x', which has 100",
        ),
    ],
)
def test_a_place_lies_within_its_region(
    parameters: dict[str, Any], error: type[Exception], message: str, file: Path, memory: SharedMemory
) -> None:
    memory.register("x", file.name, 10, 100)
    with pytest.raises(error, match=message):
        memory.placement(parameters, "input 'image'")


def test_a_place_counts_from_its_region(file: Path, memory: SharedMemory) -> None:
    memory.register("x", file.name, 10, 100)
    place = memory.placement(
        {"shared_memory_region": "x", "shared_memory_byte_size": 3, "shared_memory_offset": 5}, "x"
    )
    assert place is not None
    file.write_bytes(bytes(15) + b"abc" + bytes(4078))
    assert place.read() == b"abc"
    write_outputs({"label": b"xy"}, {"label": place})
    assert file.read_bytes()[14:19] == b"\0xyc\0"
    memory.unregister("x")
    for act in (place.read, lambda: place.write(b"xy")):
        with pytest.raises(InvalidRequest, match="was unregistered meanwhile"):
            act()


def test_nothing_is_registered_where_it_is_not_allowed(file: Path) -> None:
    memory = SharedMemory(is_allowed=False, max_read_bytes=1)
    with pytest.raises(Unsupported, match="not offered by this server"):
        memory.register("x", file.name, 0, 64)


def test_nothing_is_written_unless_all_fits(file: Path, memory: SharedMemory) -> None:
    """Not even what comes before an output whose region's file has become shorter, or is unregistered."""
    short = file.with_name(f"{file.name}-short")
    short.write_bytes(bytes(64))
    try:
        memory.register("first", file.name, 0, 64)
        memory.register("second", short.name, 0, 64)
        size = {"shared_memory_byte_size": 64}
        places = {
            name: memory.placement(size | {"shared_memory_region": name}, "x") for name in ("first", "second")
        }
        outputs = {"first": b"a" * 64, "second": b"b" * 64}
        os.truncate(short, 63)
        for message in ("region 'second' ends before its tensor does", "'second' was unregistered meanwhile"):
            with pytest.raises(InvalidRequest, match=message):
                write_outputs(outputs, places)
            assert (file.read_bytes()[:64], short.read_bytes()) == (bytes(64), bytes(63))
            memory.unregister("second")
    finally:
        short.unlink()


def test_a_request_reads_no_more_than_a_body_may_have(file: Path, memory: SharedMemory) -> None:
    """A region may be larger, and inputs together must not be."""
    memory.register("large", file.name, 0, 4096)
    takes = intake(spec("x", "UINT8", -1), spec("y", "UINT8", -1), memory=memory)
    place = {"shared_memory_region": "large", "shared_memory_byte_size": 1001}
    entries = [{"name": n, "datatype": "UINT8", "shape": [1001], "parameters": place} for n in ("x", "y")]
    body = memoryview(json.dumps({"inputs": entries}).encode())
    with pytest.raises(TooLarge, match="more than 2000 bytes of shared memory in one request"):
        decode("m", "", body, None, takes)
    with pytest.raises(TooLarge, match="more than 2000 bytes of shared memory in one request"):
        grpc_codec.decode(placed_message(entries), 0, takes)


def test_strings_in_shared_memory_count_as_json_does(file: Path, memory: SharedMemory) -> None:
    memory.register("large", file.name, 0, 4096)
    takes = intake(spec("w", "BYTES", -1), memory=memory, max_json_bytes=1200)
    place = {"shared_memory_region": "large", "shared_memory_byte_size": 1200}
    entries = [{"name": "w", "datatype": "BYTES", "shape": [300], "parameters": place}]
    body = memoryview(json.dumps({"inputs": entries}).encode())
    with pytest.raises(TooLarge, match="more than 1200 bytes of strings"):
        decode("m", "", body, None, takes)
    with pytest.raises(TooLarge, match="more than 1200 bytes of strings"):
        grpc_codec.decode(placed_message(entries), 1, takes)
    request, _ = grpc_codec.decode(placed_message(entries), 0, takes)
    assert request.inputs["w"].tolist() == [""] * 300
    assert takes.takes_long(0, 0)


def placed_message(entries: list[dict[str, Any]]) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="m")
    for entry in entries:
        tensor = message.inputs.add(name=entry["name"], datatype=entry["datatype"], shape=entry["shape"])
        tensor.parameters["shared_memory_region"].string_param = "large"
        size = entry["parameters"]["shared_memory_byte_size"]
        tensor.parameters["shared_memory_byte_size"].int64_param = size
    return message
