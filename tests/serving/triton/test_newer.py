"""What is exported while the bundled Triton serves: a newer version, or another member, which it loads."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import tritonclient.grpc as triton_grpc

from cascade.cascade_file import write_cascade
from cascade.policy import Policy
from serving.backoff import Backoff
from serving.errors import StartupError
from serving.triton import supervised
from serving.triton.bundled import QUICK, TritonServer, triton
from serving.triton.config import BundledConfig, TritonConfig
from serving.triton.loading import Triton
from serving.triton.supervised import State, Supervised
from tests.conformance.targets import shared_repository
from tests.repositories import Repository
from tests.servers import Server, serving
from tests.serving.triton.conftest import UNLOADED
from tests.serving.triton.models import Model, load, write_models
from tests.serving.triton.test_loading import changed
from tests.triton.processes import until


def keep_all_versions(model: Path) -> None:
    """As the export writes it; Triton would keep the latest only."""
    with (model / "config.pbtxt").open("a", encoding="utf-8") as file:
        file.write("version_policy { all {} }\n")


def add_version(model: Path, version: int) -> None:
    shutil.copytree(model / "1", model / str(version))


def copy_as(model: Path, name: str) -> None:
    place = model.with_name(name)
    shutil.copytree(model, place)
    config = place / "config.pbtxt"
    config.write_text(config.read_text().replace(f'"{model.name}"', f'"{name}"'))


@pytest.fixture
def repository(installed: None, tmp_path: Path) -> Repository:
    made = shared_repository(tmp_path / "repository")
    for member in made.cascade.members:
        keep_all_versions(made.path / member.name)
    return made


@pytest.fixture
def server(repository: Repository) -> Iterator[Server]:
    flags = ("--backend", "triton", "--start-triton", "--reload-seconds", "0.1")
    with serving(repository.path, *flags) as running:
        yield running


def cascade_version(client: triton_grpc.InferenceServerClient, repository: Repository) -> int:
    """Of a whole answer: none of its members failed."""
    image = repository.test.image[:4]
    tensor = triton_grpc.InferInput("image", list(image.shape), "UINT8").set_data_from_numpy(image)
    answer = client.infer("digits", [tensor], parameters={"policy": "full", "strict": True}).get_response()
    assert not answer.parameters["degraded"].bool_param
    return int(answer.parameters["cascade_version"].string_param)


def test_newer_members_are_served_and_no_request_is_lost(repository: Repository, server: Server) -> None:
    """One is a newer version, one a model that was not there."""
    stopping = threading.Event()

    def ask() -> list[int]:
        versions = []
        with triton_grpc.InferenceServerClient(server.grpc) as client:
            while not stopping.is_set():
                versions.append(cascade_version(client, repository))
        return versions

    first, second, third = repository.cascade.members
    members = (replace(first, version=2), second, replace(third, name="another"))
    stages = ((first.name,), (second.name,), ("another",))
    only = {"policies": {"full": Policy(kind="full", num_stages=3)}, "default_policy": "full"}
    newer = replace(repository.cascade, version=2, members=members, stages=stages, **only)
    with ThreadPoolExecutor(1) as threads, triton_grpc.InferenceServerClient(server.grpc) as client:
        asking = threads.submit(ask)
        try:
            add_version(repository.path / first.name, 2)
            copy_as(repository.path / third.name, "another")
            write_cascade(repository.file, newer)
            until(lambda: cascade_version(client, repository) == 2)
        finally:
            stopping.set()
        versions = asking.result(60)
    assert versions == sorted(versions)
    assert versions[0] == 1
    told = "".join(server.output)
    assert told.count("Triton is told to load") == 2
    assert f"Triton is told to load {first.name}\n" in told


def bundled(folder: Path, made: dict[str, Model]) -> Supervised:
    write_models(folder, {"image": made["image"]})
    keep_all_versions(folder / "image")
    return Supervised(BundledConfig(repository=folder, arguments=(QUICK,)))


def test_one_that_is_started_again_is_waited_for_and_has_what_is_there_by_then(
    installed: None, made: dict[str, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without being told; and long after members were first loaded from it."""
    monkeypatch.setattr(supervised, "Backoff", partial(Backoff, first_s=1))
    ours = bundled(tmp_path / "models", made)
    source = Triton(TritonConfig(urls=(ours.start(),), ready_timeout_s=30))
    try:
        model = made["image"]
        load(source, model)
        add_version(tmp_path / "models" / "image", 2)
        assert ours.server is not None
        os.kill(ours.server.process.pid, signal.SIGKILL)
        until(lambda: ours.state is State.DOWN)
        newer = changed(model.cascade, {"version": 2})
        member = source.load_member(tmp_path, newer.members[0], newer, 32)
        assert member.key == "image/2"
    finally:
        source.close()
        ours.stop()


def test_what_ours_cannot_load_is_refused_with_its_reason(
    installed: None, made: dict[str, Model], tmp_path: Path
) -> None:
    ours = bundled(tmp_path / "models", made)
    address = ours.start()
    source = Triton(TritonConfig(urls=(address,), is_ours=True))
    try:
        nobody = changed(made["image"].cascade, {"name": "nobody"})
        text = f"^member 'nobody': Triton at {address} cannot load it: INTERNAL: failed to load 'nobody'"
        with pytest.raises(StartupError, match=text):
            source.load_member(tmp_path, nobody.members[0], nobody, 32)
        missing = changed(made["image"].cascade, {"version": 3})
        text = f"^member 'image': Triton at {address} has not loaded version 3 of it, only 1$"
        with pytest.raises(StartupError, match=text):
            source.load_member(tmp_path, missing.members[0], missing, 32)
    finally:
        source.close()
        ours.stop()


def test_one_that_is_not_ours_is_told_nothing(server_of_others: TritonServer, made: dict[str, Model]) -> None:
    """Though this one would load it."""
    unloaded = changed(made["image"].cascade, {"name": UNLOADED})
    for is_ours, told in ((False, "has not loaded version 1 of it, only none"), (True, None)):
        source = Triton(TritonConfig(urls=(server_of_others.grpc,), is_ours=is_ours))
        if told is None:
            assert source.load_member(Path(), unloaded.members[0], unloaded, 32).key == f"{UNLOADED}/1"
        else:
            with pytest.raises(StartupError, match=told):
                source.load_member(Path(), unloaded.members[0], unloaded, 32)
        source.close()


def test_a_member_that_loads_is_waited_for_no_longer_than_said(
    server_of_others: TritonServer, made: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From when it is asked for, not from when Triton was."""
    source = Triton(TritonConfig(urls=(server_of_others.grpc,), ready_timeout_s=0.5))
    looks: list[int] = []

    def loading(_: object) -> tuple[str, str]:
        looks.append(1)
        return "LOADING", "has it LOADING"

    monkeypatch.setattr(source, "_state", loading)
    missing = changed(made["image"].cascade, {"version": 3})
    for _ in range(2):
        looks.clear()
        with pytest.raises(StartupError, match="has it LOADING"):
            source.load_member(Path(), missing.members[0], missing, 32)
        assert 3 <= len(looks) <= 7
    source.close()


@pytest.fixture
def server_of_others(installed: None, made: dict[str, Model], tmp_path: Path) -> Iterator[TritonServer]:
    write_models(tmp_path / "theirs", {"image": made["image"], UNLOADED: made["image"]})
    explicit = ("--model-control-mode=explicit", "--load-model=image")
    with triton(tmp_path / "theirs", QUICK, *explicit, log=tmp_path / "log") as running:
        yield running
