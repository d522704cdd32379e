"""Regions and places in them, without a server."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import service_pb2 as pb

from serving.errors import InvalidRequest, NotFound, TooLarge, Unsupported
from serving.grpc import codec as grpc_codec
from serving.http.codec import decode
from serving.request_checks import Intake
from serving.shared_memory import MAX_REGIONS, SharedMemory, write_outputs
from tests.serving.intakes import intake, spec


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    found = SharedMemory(is_allowed=True, max_read_bytes=2000)
    yield found
    found.close()


def num_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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
    specs = (spec("x", "UINT8", -1), spec("y", "UINT8", -1))
    place = {"shared_memory_region": "large", "shared_memory_byte_size": 1001}
    entries = [{"name": n, "datatype": "UINT8", "shape": [1001], "parameters": place} for n in ("x", "y")]
    body = memoryview(json.dumps({"inputs": entries}).encode())
    with pytest.raises(TooLarge, match="more than 2000 bytes of shared memory in one request"):
        decode("m", "", body, None, intake(*specs, memory=memory))
    with pytest.raises(TooLarge, match="more than 2000 bytes of shared memory in one request"):
        grpc_codec.decode(placed_message(entries), intake(*specs, memory=memory))


def test_strings_in_shared_memory_count_as_json_does(file: Path, memory: SharedMemory) -> None:
    memory.register("large", file.name, 0, 4096)

    def takes(num_slow: int) -> Intake:
        return intake(spec("w", "BYTES", -1), memory=memory, num_slow=num_slow, max_json_bytes=1200)

    place = {"shared_memory_region": "large", "shared_memory_byte_size": 1200}
    entries = [{"name": "w", "datatype": "BYTES", "shape": [300], "parameters": place}]
    body = memoryview(json.dumps({"inputs": entries}).encode())
    with pytest.raises(TooLarge, match="more than 1200 bytes of strings"):
        decode("m", "", body, None, takes(1))
    with pytest.raises(TooLarge, match="more than 1200 bytes of strings"):
        grpc_codec.decode(placed_message(entries), takes(1))
    request, _ = grpc_codec.decode(placed_message(entries), takes(0))
    assert request.inputs["w"].tolist() == [""] * 300
    assert takes(0).takes_long(0)


def placed_message(entries: list[dict[str, Any]]) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="m")
    for entry in entries:
        tensor = message.inputs.add(name=entry["name"], datatype=entry["datatype"], shape=entry["shape"])
        tensor.parameters["shared_memory_region"].string_param = "large"
        size = entry["parameters"]["shared_memory_byte_size"]
        tensor.parameters["shared_memory_byte_size"].int64_param = size
    return message
