"""Tensors that go to a real Triton through this machine's shared memory."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as schema
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving.errors import MemberDown, MemberFailed, StartupError
from serving.triton import member as member_module
from serving.triton import places as places_module
from serving.triton.bundled import QUICK, TritonServer
from serving.triton.config import BundledConfig, TritonConfig
from serving.triton.loading import Triton
from serving.triton.member import TritonMember
from serving.triton.places import ASIDE_S, Places, size_of
from serving.triton.supervised import State, Supervised
from tests.serving.triton.answering import CASCADE, ROWS, SPEC, answering, doubled
from tests.serving.triton.models import MAX_ROWS, Arrays, Model, load, write_models
from tests.triton.processes import stop_process

NAMES = ("image", "mixed", "colours")


@pytest.fixture(autouse=True)
def always_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_module, "SHARED_FROM_BYTES", 0)


@pytest.fixture
def source(server: TritonServer) -> Iterator[Triton]:
    """Shares memory with the Triton that dies in no test."""
    source = Triton(TritonConfig(urls=(server.grpc,), use_shared_memory=True, call_timeout_s=30))
    source.wait_until_live()
    yield source
    source.close()
    assert not regions(server.grpc)
    assert not list(Path("/dev/shm").glob(f"exitgate-{os.getpid()}-" + "[0-9a-f]" * 16))


def regions(address: str) -> dict[str, int]:
    """Those that Triton knows, with their sizes."""
    with grpc.insecure_channel(address) as channel:
        request = schema.SystemSharedMemoryStatusRequest()
        found = GRPCInferenceServiceStub(channel).SystemSharedMemoryStatus(request)
    return {name: region.byte_size for name, region in found.regions.items()}


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_1_to_the_maximum_are_answered_as_embedded(
    name: str, source: Triton, server: TritonServer, made: dict[str, Model]
) -> None:
    model = made[name]
    member, embedded, rng = load(source, model), model.embedded(), np.random.default_rng(0)
    for rows in (*range(1, MAX_ROWS + 1), 3):
        inputs = model.make(rng, rows)
        found = member.run(inputs)
        np.testing.assert_allclose(found, embedded.run(inputs), atol=1e-5, rtol=0)
    assert len(regions(server.grpc)) == 1


def test_small_tensors_stay_in_the_call(
    source: Triton, made: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert source._places is not None
    (place,) = source._places._free
    load(source, made["image"]).run(made["image"].make(np.random.default_rng(0), 3))
    assert not place.memory.any()
    rows = long_rows(300)
    found = load(source, made["mixed"]).run(rows)
    np.testing.assert_allclose(found, made["mixed"].embedded().run(rows), rtol=1e-4)
    assert place.memory[: rows["ids"].nbytes].tobytes() == rows["ids"].tobytes()


def test_places_that_triton_lost_are_made_anew(
    source: Triton, server: TritonServer, made: dict[str, Model]
) -> None:
    """As after a start of which no call heard. The call that finds out carries its tensors itself."""
    member, rows = load(source, made["image"]), made["image"].make(np.random.default_rng(0), 4)
    expected, known = member.run(rows), set(regions(server.grpc))
    with grpc.insecure_channel(server.grpc) as channel:
        everything = schema.SystemSharedMemoryUnregisterRequest()
        GRPCInferenceServiceStub(channel).SystemSharedMemoryUnregister(everything)
    assert np.array_equal(member.run(rows), expected)
    assert not regions(server.grpc)
    assert np.array_equal(member.run(rows), expected)
    assert len(regions(server.grpc)) == 1
    assert not known & set(regions(server.grpc))


def long_rows(length: int) -> Arrays:
    """More bytes than the smallest place has, from about 1000 on."""
    rng = np.random.default_rng(length)
    return {
        "ids": rng.integers(0, 10, (MAX_ROWS, length)),
        "numbers": rng.normal(size=(MAX_ROWS, 4)).astype(np.float32),
    }


def test_a_place_that_is_too_small_is_replaced(
    source: Triton, server: TritonServer, made: dict[str, Model]
) -> None:
    member, embedded = load(source, made["mixed"]), made["mixed"].embedded()
    sizes = []
    for length in (10, 2000, 5000, 10):
        rows = long_rows(length)
        np.testing.assert_allclose(member.run(rows), embedded.run(rows), rtol=1e-4)
        (size,) = regions(server.grpc).values()
        sizes.append(size)
    assert sizes == [2**18, 2**19, 2**21, 2**21]


def test_threads_get_their_own_answers(source: Triton, server: TritonServer, made: dict[str, Model]) -> None:
    models = [made[name] for name in NAMES]
    members = [(load(source, model), model.embedded(), model) for model in models]

    def run(seed: int) -> float:
        member, embedded, model = members[seed % 3]
        inputs = model.make(np.random.default_rng(seed), 1 + seed % 7)
        return float(np.abs(member.run(inputs) - embedded.run(inputs)).max())

    with ThreadPoolExecutor(8) as threads:
        assert max(threads.map(run, range(300))) < 1e-5
    assert 1 <= len(regions(server.grpc)) <= 8


def test_a_failure_that_triton_answered_leaves_the_place_as_it_was(
    source: Triton, server: TritonServer, made: dict[str, Model]
) -> None:
    member, rows = load(source, made["mixed"]), long_rows(3)
    member.run(rows)
    known = regions(server.grpc)
    with pytest.raises(MemberFailed) as caught:
        member.run(rows | {"ids": np.full((MAX_ROWS, 3), 50)})
    assert not isinstance(caught.value, MemberDown)
    np.testing.assert_allclose(member.run(rows), made["mixed"].embedded().run(rows), rtol=1e-4)
    assert regions(server.grpc) == known


@pytest.fixture
def triton(installed: None, made: dict[str, Model], tmp_path: Path) -> Iterator[Supervised]:
    """One that may be stopped and killed."""
    write_models(tmp_path, {"image": made["image"]})
    supervised = Supervised(BundledConfig(repository=tmp_path, arguments=(QUICK,)))
    supervised.start()
    yield supervised
    if supervised.state is State.READY and supervised.server is not None:
        os.kill(supervised.server.process.pid, signal.SIGCONT)
    supervised.stop()


@pytest.fixture
def shared(triton: Supervised) -> Iterator[Triton]:
    assert triton.server is not None
    config = TritonConfig(urls=(triton.server.grpc,), use_shared_memory=True, call_timeout_s=30)
    source = Triton(config)
    source.wait_until_live()
    yield source
    source.close()


def test_after_triton_started_again_the_places_are_made_anew(
    triton: Supervised, shared: Triton, made: dict[str, Model]
) -> None:
    assert triton.server is not None
    member, rows = load(shared, made["image"]), made["image"].make(np.random.default_rng(0), 4)
    expected, known = member.run(rows), set(regions(triton.server.grpc))
    os.kill(triton.server.process.pid, signal.SIGKILL)
    triton.server.process.wait()
    deadline_s = time.monotonic() + 60
    while True:
        try:
            found = member.run(rows)
            break
        except MemberDown as error:
            assert str(error) == "member 'image' is not available"
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
    assert np.array_equal(found, expected)
    assert np.array_equal(member.run(rows), expected)
    now = set(regions(triton.server.grpc))
    assert len(now) == 1
    assert not now & known


def test_a_place_whose_call_had_no_answer_is_set_aside(
    triton: Supervised, shared: Triton, made: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert triton.server is not None
    member, rows = load(shared, made["image"]), made["image"].make(np.random.default_rng(0), 4)
    expected = member.run(rows)
    (first,) = regions(triton.server.grpc)
    stop_process(triton.server.process.pid)
    with pytest.raises(MemberDown, match="did not answer in time"):
        member.run(rows, time.monotonic() + 0.2)
    os.kill(triton.server.process.pid, signal.SIGCONT)
    assert np.array_equal(member.run(rows), expected)
    assert len(regions(triton.server.grpc)) == 2
    assert first in regions(triton.server.grpc)
    now_s = time.monotonic() + ASIDE_S
    monkeypatch.setattr(places_module.time, "monotonic", lambda: now_s)
    shared._places._clear_up()
    monkeypatch.undo()
    assert len(regions(triton.server.grpc)) == 1
    assert first not in regions(triton.server.grpc)


def place_of(server: Any) -> tuple[TritonMember, grpc.Channel]:
    channel = grpc.insecure_channel(server.address)
    places = Places(GRPCInferenceServiceStub(channel))
    return TritonMember(SPEC, CASCADE, 32, "FP32", channel, 30.0, places), channel


def unwritten(request: schema.ModelInferRequest, context: grpc.ServicerContext) -> Any:
    """The truth, but for the output, which is nowhere."""
    response = schema.ModelInferResponse(model_name="sums", model_version="7", raw_output_contents=[b""])
    response.outputs.add(name="logits", datatype="FP32", shape=request.inputs[0].shape)
    return response


def test_an_output_that_was_not_written_is_no_prediction() -> None:
    with answering(unwritten, registers=True) as server:
        member, channel = place_of(server)
        with channel:
            assert np.isnan(member.run({"numbers": ROWS})).all()
            assert np.isnan(member.run({"numbers": ROWS})).all()
        assert {len(call.raw_input_contents) for call in server.calls} == {0}


def test_without_room_the_tensors_go_in_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with answering(registers=True) as server:
        member, channel = place_of(server)
        with channel:
            monkeypatch.setattr(os, "posix_fallocate", full)
            assert member.run({"numbers": ROWS}).tolist() == (2 * ROWS).tolist()
            monkeypatch.undo()
            monkeypatch.setattr(member_module, "SHARED_FROM_BYTES", 0)
            monkeypatch.setattr(places_module, "MOST_ASIDE", 0)
            assert member.run({"numbers": ROWS}).tolist() == (2 * ROWS).tolist()
        assert [len(call.raw_input_contents) for call in server.calls] == [1, 1]


def test_a_closed_channel_is_down() -> None:
    with answering(registers=True) as server:
        member, channel = place_of(server)
        channel.close()
        with pytest.raises(MemberDown, match=r"^member 'sums' is not available$"):
            member.run({"numbers": ROWS})


def test_a_triton_that_cannot_share_memory() -> None:
    with answering(doubled) as server, grpc.insecure_channel(server.address) as channel:
        places = Places(GRPCInferenceServiceStub(channel))
        with pytest.raises(
            StartupError, match=r"^Triton cannot use shared memory of this machine: Method not"
        ):
            places.check(5)


def test_the_size_of_a_place() -> None:
    assert size_of([bytes(1), bytes(64), bytes(65)], 10) == 64 + 64 + 128 + 10
