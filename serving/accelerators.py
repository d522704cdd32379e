"""What ONNX Runtime needs to run members on a GPU, found where pip puts it."""

import contextlib
import functools
import io

import onnxruntime

from serving.config import PROVIDERS


def what_lacks(accelerator: str) -> str:
    """Loads CUDA's libraries for an accelerator that wants them; of those that are not there, what the loader
    said of the first, else nothing.

    ONNX Runtime looks in the system's places alone, unless it is told to look beside itself, too, where pip
    installs NVIDIA's packages (`onnxruntime-gpu[cuda,cudnn]`).
    """
    return _what_cuda_lacks() if "CUDAExecutionProvider" in PROVIDERS[accelerator] else ""


@functools.cache
def _what_cuda_lacks() -> str:
    if not hasattr(onnxruntime, "preload_dlls"):
        return ""
    # It prints what it misses. A library of another accelerator's, or of none, is not missed here.
    with contextlib.redirect_stdout(io.StringIO()) as told:
        onnxruntime.preload_dlls()
    missed = (line for line in told.getvalue().splitlines() if line.startswith("Failed to load "))
    return next((line.partition(": ")[2] for line in missed), "")
