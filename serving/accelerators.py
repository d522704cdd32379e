"""What ONNX Runtime needs to run members on a GPU, found where pip puts it."""

import contextlib
import functools
import io

import onnxruntime

from serving.config import PROVIDERS


@functools.cache
def preload_libraries(accelerator: str) -> str:
    """Loads CUDA's libraries for an accelerator that wants them; what the loader said of the first that is
    missing, or nothing.

    ONNX Runtime looks in the system's places alone, unless it is told to look beside itself, too, where pip
    installs NVIDIA's packages (`onnxruntime-gpu[cuda,cudnn]`). The driver's library is not among them.
    """
    # ONNX Runtime has it since 1.21.
    if "CUDAExecutionProvider" not in PROVIDERS[accelerator] or not hasattr(onnxruntime, "preload_dlls"):
        return ""
    # It raises nothing, and prints what is missing.
    with contextlib.redirect_stdout(io.StringIO()) as told:
        onnxruntime.preload_dlls()
    missing = (line for line in told.getvalue().splitlines() if line.startswith("Failed to load "))
    return next((line.partition(": ")[2] for line in missing), "")
