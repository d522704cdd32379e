"""What a real Triton has must be what a cascade says."""

import re
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cascade.cascade_file import Cascade, TensorSpec, write_cascade
from cascade.runtime import ServiceCurve
from serving.errors import NotFound, StartupError
from serving.loading import Loader, read_cascades
from serving.triton.bundled import TritonServer
from serving.triton.config import TritonConfig
from serving.triton.loading import Triton
from serving.triton.member import TritonMember
from tests.serving.triton.answering import answering
from tests.serving.triton.conftest import UNLOADED
from tests.serving.triton.models import MAX_ROWS, Model

NOWHERE = Path("not", "looked", "at")


def changed(cascade: Cascade, member: Mapping[str, Any], **others: Any) -> Cascade:
    """With its one member changed, and others of its fields."""
    spec = replace(cascade.members[0], **member)
    return replace(cascade, members=(spec,), stages=((spec.name,),), **others)


def tensor(name: str, datatype: str, *shape: int) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=shape)


@pytest.mark.parametrize(
    ("name", "member", "others", "text"),
    [
        ("image", {"name": "nobody"}, {}, "member 'nobody': Triton at ADDRESS has no such model"),
        (
            "image",
            {"version": 3},
            {},
            "member 'image': Triton at ADDRESS has not loaded version 3 of it, only 1",
        ),
        (
            "image",
            {"name": UNLOADED},
            {},
            f"member '{UNLOADED}': Triton at ADDRESS has not loaded version 1 of it, only none",
        ),
        (
            "image",
            {},
            {"inputs": (tensor("the_image", "FP32", -1, 8, 8, 1),)},
            "member 'image' takes {'image': 'UINT8'}; its cascade says {'image': 'FP32'}",
        ),
        (
            "image",
            {"inputs": {"the_image": "picture"}},
            {},
            "member 'image' takes {'image': 'UINT8'}; its cascade says {'picture': 'UINT8'}",
        ),
        (
            "image",
            {},
            {"inputs": (tensor("the_image", "UINT8", -1, 8, 9, 1),)},
            "member 'image' takes 'image' of shape [-1, 8, 8, 1]; its cascade says [-1, 8, 9, 1]",
        ),
        (
            "image",
            {},
            {"inputs": (tensor("the_image", "UINT8", -1, 64),)},
            "member 'image' takes 'image' of shape [-1, 8, 8, 1]; its cascade says [-1, 64]",
        ),
        (
            "image",
            {},
            {"inputs": (tensor("the_image", "UINT8", -1, 8, -1, 1),)},
            "member 'image' takes 'image' of shape [-1, 8, 8, 1]; its cascade says [-1, 8, -1, 1]",
        ),
        ("image", {"output": "scores"}, {}, "member 'image' has no output 'scores', only logits"),
        ("mixed", {"output": "total"}, {}, "member 'mixed': output 'total' is INT64, no float"),
        (
            "image",
            {},
            {"classes": ("a", "b", "c")},
            "member 'image' gives 'logits' of shape [-1, 10], for 3 classes",
        ),
    ],
)
def test_a_member_that_is_not_as_its_cascade_says(
    name: str,
    member: dict[str, Any],
    others: dict[str, Any],
    text: str,
    running: Triton,
    server: TritonServer,
    made: dict[str, Model],
) -> None:
    cascade = changed(made[name].cascade, member, **others)
    expected = re.escape(text.replace("ADDRESS", server.grpc))
    with pytest.raises(StartupError, match=f"^{expected}$"):
        running.load_member(NOWHERE, cascade.members[0], cascade, MAX_ROWS)


def test_batches_that_triton_would_refuse(running: Triton, made: dict[str, Model]) -> None:
    model = made["image"]
    text = f"^member 'image' takes batches of {MAX_ROWS} rows in Triton; {MAX_ROWS + 1} are too many$"
    with pytest.raises(StartupError, match=text):
        running.load_member(NOWHERE, model.spec, model.cascade, MAX_ROWS + 1)


def test_a_file_that_is_here_must_be_the_one_that_is_pinned(
    running: Triton, made: dict[str, Model], tmp_path: Path
) -> None:
    model = made["image"]
    file = tmp_path / model.spec.file
    file.parent.mkdir(parents=True)
    file.write_bytes(model.graph)
    assert running.load_member(tmp_path, model.spec, model.cascade, MAX_ROWS).key == "image/1"
    file.write_bytes(model.graph + b"\0")
    text = f"member 'image': {file} is not the file that 'image-cascade' was made with"
    with pytest.raises(StartupError, match=f"^{re.escape(text)}$"):
        running.load_member(tmp_path, model.spec, model.cascade, MAX_ROWS)


def test_nobody_answers() -> None:
    source = Triton(TritonConfig(urls=("127.0.0.1:1",), ready_timeout_s=0.3))
    with pytest.raises(StartupError, match=r"^Triton at 127\.0\.0\.1:1 does not answer: \S"):
        source.wait_until_live()
    source.close()


def test_one_that_comes_later_is_waited_for() -> None:
    """Though nobody answers at first."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    source = Triton(TritonConfig(urls=(f"127.0.0.1:{port}",), ready_timeout_s=30))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(source.wait_until_live)
        time.sleep(0.5)
        assert not waiting.done()
        # It is no Triton, but it answers.
        with answering(port=port), pytest.raises(StartupError, match="Method not found"):
            waiting.result(60)
    source.close()


def test_another_server_answers() -> None:
    with answering() as server:
        source = Triton(TritonConfig(urls=(server.address,)))
        with pytest.raises(
            StartupError, match=f"^Triton at {server.address} does not answer: Method not found"
        ):
            source.wait_until_live()
        source.close()


@pytest.fixture
def repository(made: dict[str, Model], tmp_path: Path) -> Path:
    """Cascade files only, as beside a Triton on another machine."""
    for model in made.values():
        write_cascade(tmp_path / f"{model.cascade.name}.cascade.json", model.cascade)
    return tmp_path


def test_cascades_are_loaded_from_triton_and_warmed_up(
    repository: Path, running: Triton, made: dict[str, Model]
) -> None:
    loader = Loader(repository, MAX_ROWS, load_member=running.load_member)
    registry = loader.load_all(read_cascades(repository))
    members = [registry.model(f"{name}-cascade").slots[0] for name in made]
    assert all(isinstance(member, TritonMember) for member in members)
    curve = registry.model("image-cascade").slots[0].curve
    assert curve.seconds(1) != pytest.approx(2e-3)
    assert 0 < curve.seconds(1) < 10
    with pytest.raises(NotFound):
        loader.load("nobody", registry)


def test_a_curve_of_the_cascade_file_is_kept(running: Triton, made: dict[str, Model], tmp_path: Path) -> None:
    tuned = changed(made["image"].cascade, {"service_curve": ServiceCurve(0.5, 0.25)})
    write_cascade(tmp_path / f"{tuned.name}.cascade.json", tuned)
    loader = Loader(tmp_path, MAX_ROWS, load_member=running.load_member)
    curve = loader.load_all(read_cascades(tmp_path)).model("image-cascade").slots[0].curve
    assert curve.seconds(2) == pytest.approx(1.25)


@pytest.mark.parametrize("name", ["image", "mixed"])
def test_a_member_that_is_down_when_it_is_warmed_up(
    name: str, repository: Path, server: TritonServer, made: dict[str, Model]
) -> None:
    """Also where rows of zeros may be none that it takes."""
    model = made[name]
    source = Triton(TritonConfig(urls=(server.grpc,)))
    member = source.load_member(NOWHERE, model.spec, model.cascade, MAX_ROWS)
    source.close()
    loader = Loader(repository, MAX_ROWS, load_member=lambda *_: member)
    with pytest.raises(StartupError, match=f"^'{name}-cascade': member '{name}' is not available$"):
        loader.load_all([model.cascade])
