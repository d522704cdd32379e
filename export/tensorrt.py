"""TensorRT plans, by the `tensorrt` package or NVIDIA's `trtexec`.

A plan is for one kind of GPU and one version of TensorRT: build it where it is to be served. No machine that
this was written on had either; what could be tested is the command line that `trtexec` gets.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import SettingsError, ToolError
from export.rows import Classifier, Feeds, Outputs, Rows
from export.signature import MemberSignature

PACKAGE = "tensorrt"
PROGRAM = "trtexec"
TIMEOUT_S = 3600


def timing_cache() -> Path:
    """How long each kernel took on this GPU, kept between builds in the user's folder for such things."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "exitgate"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "tensorrt-timing.cache"


def check_available() -> None:
    """ToolError where there is nothing to build a plan with."""
    if importlib.util.find_spec(PACKAGE) is None and shutil.which(PROGRAM) is None:
        raise ToolError(
            f"format tensorrt needs the Python package {PACKAGE!r} or the program {PROGRAM!r} on the PATH, "
            "and an NVIDIA GPU; neither is installed here"
        )


def build_plan(
    onnx: bytes, signature: MemberSignature, rows: Rows, max_batch_size: int, precision: str
) -> bytes:
    """A serialised engine for batches of 1 to `max_batch_size` rows.

    `onnx` has the precision already: of int8 its scales are those of the engine.
    """
    profile = Profile(signature, rows, max_batch_size)
    if importlib.util.find_spec(PACKAGE) is not None:
        from export import tensorrt_package

        shapes = [profile.shapes(size) for size in profile.sizes]
        return tensorrt_package.build(onnx, shapes, precision, timing_cache())
    with tempfile.TemporaryDirectory() as folder:
        model, plan = Path(folder) / "model.onnx", Path(folder) / "model.plan"
        model.write_bytes(onnx)
        _run(build_command(model, plan, profile, precision))
        return plan.read_bytes()


class Profile:
    """Shapes of each input at the smallest, the usual and the largest batch; other extents are the rows'."""

    def __init__(self, signature: MemberSignature, rows: Rows, max_batch_size: int) -> None:
        feeds = rows.take(np.arange(1))
        self._extents = {own: feeds[name].shape[1:] for name, own in signature.names.items()}
        for spec in signature.inputs:
            if -1 in spec.shape[1:]:
                raise SettingsError(
                    f"format tensorrt takes no extents that vary; input {spec.name!r} has some"
                )
        self.sizes = (1, max(1, max_batch_size // 2), max_batch_size)

    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        return {name: (size, *extents) for name, extents in self._extents.items()}

    def argument(self, size: int) -> str:
        """As trtexec wants it: `image:8x32x32x3`."""
        shapes = self.shapes(size).items()
        return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes)


def build_command(model: Path, plan: Path, profile: Profile, precision: str) -> list[str]:
    smallest, usual, largest = map(profile.argument, profile.sizes)
    command = [
        PROGRAM,
        f"--onnx={model}",
        f"--saveEngine={plan}",
        f"--minShapes={smallest}",
        f"--optShapes={usual}",
        f"--maxShapes={largest}",
        f"--timingCacheFile={timing_cache()}",
        "--skipInference",
    ]
    return command + {"fp32": [], "fp16": ["--fp16"], "int8": ["--fp16", "--int8"]}[precision]


def classifier_of_plan(file: Path, signature: MemberSignature) -> Classifier:
    """Outputs of the plan itself, on this GPU."""
    if importlib.util.find_spec(PACKAGE) is not None:
        from export import tensorrt_package

        return tensorrt_package.classifier(file, signature)

    def run(feeds: Feeds) -> Outputs:
        own = {signature.names[name]: array for name, array in feeds.items()}
        with tempfile.TemporaryDirectory() as folder:
            return _run_plan(file, own, signature, Path(folder))

    return run


def _run_plan(file: Path, feeds: Feeds, signature: MemberSignature, folder: Path) -> Outputs:
    for place, array in enumerate(feeds.values()):
        array.tofile(folder / _file(place))
    exported = folder / "outputs.json"
    _run(run_command(file, feeds, folder, exported))
    return _output(json.loads(exported.read_text(encoding="utf-8")), signature)


def run_command(file: Path, feeds: Feeds, folder: Path, exported: Path) -> list[str]:
    shapes = ",".join(f"{name}:{'x'.join(map(str, array.shape))}" for name, array in feeds.items())
    inputs = ",".join(f"{name}:{folder / _file(place)}" for place, name in enumerate(feeds))
    once = ["--iterations=1", "--warmUp=0", "--duration=0"]
    loads = [f"--loadEngine={file}", f"--shapes={shapes}", f"--loadInputs={inputs}"]
    return [PROGRAM, *loads, f"--exportOutput={exported}", *once]


def _file(place: int) -> str:
    """Not the input's name, which may hold anything."""
    return f"input-{place}"


def _output(outputs: Sequence[dict[str, Any]], signature: MemberSignature) -> Outputs:
    for entry in outputs:
        if entry["name"] == signature.output:
            return np.asarray(entry["values"], np.float32).reshape(-1, signature.num_classes)
    raise ToolError(f"{PROGRAM} told no output {signature.output!r}")


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{command[0]} took more than {TIMEOUT_S} s") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no word"]
        raise ToolError(f"{command[0]} failed with status {done.returncode}: {last[0]}")
