"""System shared memory: tensors that never pass the wire."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from tests.conformance.clients import Client
from tests.conformance.targets import INPUT, Target
from tests.repositories import CLASSES

ROWS = 6
IN_BYTES = ROWS * 64
OUT_BYTES = ROWS * CLASSES * 4
OFFSET = 16
"""Where the input begins in its region."""


@dataclass(frozen=True)
class Region:
    name: str
    key: str
    size: int
    handle: Any


@pytest.fixture
def regions(target: Target, kind: str) -> Iterator[tuple[Region, Region]]:
    """One for the input and one for the output, filled with what is no answer."""
    made = []
    for part, size in (("in", OFFSET + IN_BYTES), ("out", OUT_BYTES)):
        name = f"{part}-{kind}"
        key = f"/exitgate-test-{os.getpid()}-{target.name}-{name}"
        made.append(Region(name, key, size, shm.create_shared_memory_region(name, key, size)))
    shm.set_shared_memory_region(made[0].handle, [target.images(2, ROWS)], offset=OFFSET)
    shm.set_shared_memory_region(made[1].handle, [np.full((ROWS, CLASSES), 99, np.float32)])
    yield made[0], made[1]
    for region in made:
        shm.destroy_shared_memory_region(region.handle)


@pytest.fixture
def registered(client: Client, regions: tuple[Region, Region]) -> Iterator[tuple[Region, Region]]:
    unregister_all(client)
    for region in regions:
        client.register_system_shared_memory(region.name, region.key, region.size)
    yield regions
    unregister_all(client)


def unregister_all(client: Client) -> None:
    """Triton holds a region for a moment longer than the request whose refusal it has sent."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return client.unregister_system_shared_memory()
        except InferenceServerException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def status(client: Client, *names: str) -> dict[str, dict[str, Any]]:
    document = client.document("get_system_shared_memory_status", *names)
    if client.is_http:
        return {entry["name"]: entry for entry in document}
    return dict(document.get("regions", {}))


def test_register_status_and_unregister(client: Client, registered: tuple[Region, Region]) -> None:
    first, second = registered
    found = status(client)
    assert set(found) == {first.name, second.name}
    for region in registered:
        entry = found[region.name]
        assert (entry["key"], int(entry["byte_size"])) == (region.key, region.size)
        assert int(entry.get("offset", 0)) == 0
    assert set(status(client, first.name)) == {first.name}
    client.unregister_system_shared_memory(first.name)
    assert set(status(client)) == {second.name}
    client.unregister_system_shared_memory()
    assert status(client) == {}


def test_of_gpus_there_is_none(client: Client) -> None:
    """perf_analyzer and others unregister all before they begin."""
    client.unregister_cuda_shared_memory()
    assert not client.document("get_cuda_shared_memory_status")


def test_input_and_output_in_shared_memory(
    client: Client, target: Target, registered: tuple[Region, Region]
) -> None:
    source, sink = registered
    image = client.tensors.InferInput(INPUT, [ROWS, 8, 8, 1], "UINT8")
    image.set_shared_memory(source.name, IN_BYTES, offset=OFFSET)
    wanted = client.output(target.output)
    wanted.set_shared_memory(sink.name, OUT_BYTES)
    result = client.infer(target.model, [image], outputs=[wanted])
    assert client.answer(result)["outputs"] == [target.output]
    found = shm.get_contents_as_numpy(sink.handle, np.float32, [ROWS, CLASSES])
    target.check(found, 2, ROWS)
    if client.is_http:  # perf_analyzer takes any parameters of an output for a binary tensor's
        assert result.get_output(target.output).keys() == {"name", "datatype", "shape"}
    else:  # clients find an output's bytes by its place
        assert list(result.get_response().raw_output_contents) == [b""]


def test_input_alone_in_shared_memory(
    client: Client, target: Target, registered: tuple[Region, Region]
) -> None:
    image = client.tensors.InferInput(INPUT, [ROWS, 8, 8, 1], "UINT8")
    image.set_shared_memory(registered[0].name, IN_BYTES, offset=OFFSET)
    result = client.infer(target.model, [image])
    target.check(result.as_numpy(target.output), 2, ROWS)


@pytest.mark.parametrize(
    ("num_bytes", "offset"), [(IN_BYTES, OFFSET + 1), (IN_BYTES - 64, 0), (2**40, 0)], ids=str
)
def test_what_does_not_fit_a_region_is_refused(
    num_bytes: int, offset: int, client: Client, target: Target, registered: tuple[Region, Region]
) -> None:
    image = client.tensors.InferInput(INPUT, [ROWS, 8, 8, 1], "UINT8")
    image.set_shared_memory(registered[0].name, num_bytes, offset=offset)
    with pytest.raises(InferenceServerException) as refusal:
        client.infer(target.model, [image])
    assert refusal.value.status() == ("400" if client.is_http else "StatusCode.INVALID_ARGUMENT")


def test_an_output_region_that_is_too_small_is_refused(
    client: Client, target: Target, registered: tuple[Region, Region]
) -> None:
    wanted = client.output(target.output)
    wanted.set_shared_memory(registered[1].name, OUT_BYTES - 4)
    with pytest.raises(InferenceServerException):
        client.infer(target.model, [client.input(INPUT, target.images(2, ROWS))], outputs=[wanted])
    untouched = shm.get_contents_as_numpy(registered[1].handle, np.float32, [ROWS, CLASSES])
    assert (untouched == 99).all()
