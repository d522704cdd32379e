"""Neither TensorRT nor a GPU is here: what can be tested is what its program is told, and what it says."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cascade.cascade_file import TensorSpec
from export import tensorrt
from export.errors import SettingsError, ToolError
from export.rows import Feeds, Rows
from export.signature import MemberSignature
from export.tensorrt import (
    Profile,
    build_command,
    build_plan,
    check_available,
    classifier_of_plan,
    run_command,
)

SIGNATURE = MemberSignature(
    inputs=(
        TensorSpec(name="pixels", datatype="UINT8", shape=(-1, 2, 3)),
        TensorSpec(name="age", datatype="FP32", shape=(-1,)),
    ),
    names={"image": "pixels", "years": "age"},
    num_classes=2,
    output="scores",
)
ROWS = Rows(
    inputs={
        "image": np.arange(24, dtype=np.uint8).reshape(4, 2, 3),
        "years": np.arange(4, dtype=np.float32),
    },
    labels=np.zeros(4, np.int64),
)
STAND_IN = """#!{python}
import json, sys
from pathlib import Path

folder = Path({folder!r})
options = dict(argument.removeprefix("--").partition("=")[::2] for argument in sys.argv[1:])
with (folder / "calls").open("a") as calls:
    print(json.dumps(options), file=calls)
{body}
"""
BUILDS = """
content = Path(options["onnx"]).read_bytes()
Path(options["saveEngine"]).write_bytes(b"plan of " + content)
"""
RUNS = """
import numpy as np
files = [entry.split(":") for entry in options["loadInputs"].split(",")]
files = dict((name, Path(file).read_bytes()) for name, file in files)
pixels, ages = np.frombuffer(files["pixels"], np.uint8), np.frombuffer(files["age"], np.float32)
scores = np.stack([pixels.reshape(len(ages), -1).sum(axis=1), ages], axis=1)
outputs = [
    dict(name="other", dimensions="1", values=[0]),
    dict(name="scores", dimensions="2x2", values=scores.ravel().tolist()),
]
Path(options["exportOutput"]).write_text(json.dumps(outputs))
"""
FAILS = """
print("said before")
print("[E] Error[9]: Skipping tactic\\n[E] Engine could not be created from network\\n", file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a `trtexec` on the PATH that does what `body` says, and no package beside it."""

    def install(body: str) -> None:
        program = tmp_path / "trtexec"
        program.write_text(STAND_IN.format(python=sys.executable, folder=str(tmp_path), body=body))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(tensorrt, "PACKAGE", "package_that_is_not_there")

    return install


def calls(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "calls").read_text().splitlines()]


def test_a_profile_spans_batches_of_one_to_the_largest() -> None:
    profile = Profile(SIGNATURE, ROWS, 32)
    assert profile.sizes == (1, 16, 32)
    assert profile.shapes(16) == {"pixels": (16, 2, 3), "age": (16,)}
    assert profile.argument(16) == "pixels:16x2x3,age:16"
    assert Profile(SIGNATURE, ROWS, 1).sizes == (1, 1, 1)


def test_extents_that_vary_are_refused() -> None:
    signature = MemberSignature(
        inputs=(TensorSpec(name="pixels", datatype="UINT8", shape=(-1, 2, -1)),),
        names={"image": "pixels"},
        num_classes=2,
    )
    with pytest.raises(SettingsError, match=r"takes no extents that vary; input 'pixels' has some"):
        Profile(signature, ROWS, 32)


@pytest.mark.parametrize(
    ("precision", "flags"), [("fp32", []), ("fp16", ["--fp16"]), ("int8", ["--fp16", "--int8"])]
)
def test_the_program_is_told_files_shapes_and_precision(precision: str, flags: list[str]) -> None:
    command = build_command(Path("a/m.onnx"), Path("b/m.plan"), Profile(SIGNATURE, ROWS, 32), precision)
    cache = tensorrt.timing_cache()
    assert command == [
        "trtexec",
        "--onnx=a/m.onnx",
        "--saveEngine=b/m.plan",
        "--minShapes=pixels:1x2x3,age:1",
        "--optShapes=pixels:16x2x3,age:16",
        "--maxShapes=pixels:32x2x3,age:32",
        f"--timingCacheFile={cache}",
        "--skipInference",
        *flags,
    ]


def test_a_plan_is_run_once_on_rows_in_files() -> None:
    """The files' names are not the inputs', which may lead anywhere."""
    feeds: Feeds = {"../../pixels": np.zeros((4, 2, 3), np.uint8), "age": np.zeros(4, np.float32)}
    assert run_command(Path("m.plan"), feeds, Path("f"), Path("f/out.json")) == [
        "trtexec",
        "--loadEngine=m.plan",
        "--shapes=../../pixels:4x2x3,age:4",
        "--loadInputs=../../pixels:f/input-0,age:f/input-1",
        "--exportOutput=f/out.json",
        "--iterations=1",
        "--warmUp=0",
        "--duration=0",
    ]


def test_without_package_and_program_both_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tensorrt, "PACKAGE", "package_that_is_not_there")
    with pytest.raises(
        ToolError,
        match=r"the Python package 'package_that_is_not_there' or the program 'trtexec' on the PATH",
    ):
        check_available()


def test_a_package_or_a_program_is_enough(
    stand_in: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("")
    check_available()
    (tmp_path / "trtexec").unlink()
    monkeypatch.setattr(tensorrt, "PACKAGE", "json")
    check_available()


def test_the_program_builds_a_plan(stand_in: Callable[[str], None], tmp_path: Path) -> None:
    stand_in(BUILDS)
    assert build_plan(b"a model", SIGNATURE, ROWS, 8, "fp16") == b"plan of a model"
    (options,) = calls(tmp_path)
    assert (options["maxShapes"], options["fp16"], "int8" in options) == ("pixels:8x2x3,age:8", "", False)
    assert not Path(options["onnx"]).parent.exists()


def test_the_program_runs_a_plan(stand_in: Callable[[str], None], tmp_path: Path) -> None:
    stand_in(RUNS)
    outputs = classifier_of_plan(tmp_path / "model.plan", SIGNATURE)(ROWS.take(np.array([0, 3])))
    # Pixels 0 to 5 of row 0, and 18 to 23 of row 3.
    assert outputs.tolist() == [[15, 0], [123, 3]]
    assert outputs.dtype == np.float32
    (options,) = calls(tmp_path)
    assert (options["loadEngine"], options["shapes"]) == (
        str(tmp_path / "model.plan"),
        "pixels:2x2x3,age:2",
    )
    assert not Path(options["exportOutput"]).parent.exists()


def test_a_failure_is_told_with_the_last_that_was_said(
    stand_in: Callable[[str], None], tmp_path: Path
) -> None:
    stand_in(FAILS)
    last = r"^trtexec failed with status 3: \[E\] Engine could not be created from network$"
    with pytest.raises(ToolError, match=last):
        build_plan(b"a model", SIGNATURE, ROWS, 8, "fp32")
    with pytest.raises(ToolError, match=last):
        classifier_of_plan(tmp_path / "model.plan", SIGNATURE)(ROWS.take(np.arange(1)))


@pytest.mark.parametrize(
    ("body", "last"), [("print('first\\nsecond'); sys.exit(1)", "second"), ("sys.exit(1)", "no word")]
)
def test_a_failure_may_be_told_elsewhere_or_not_at_all(
    body: str, last: str, stand_in: Callable[[str], None]
) -> None:
    stand_in(body)
    with pytest.raises(ToolError, match=f"failed with status 1: {last}$"):
        build_plan(b"a model", SIGNATURE, ROWS, 8, "fp32")


def test_a_program_that_hangs_is_stopped(
    stand_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("import time; time.sleep(60)")
    monkeypatch.setattr(tensorrt, "TIMEOUT_S", 0.2)
    with pytest.raises(ToolError, match=r"trtexec took more than 0\.2 s"):
        build_plan(b"a model", SIGNATURE, ROWS, 8, "fp32")
