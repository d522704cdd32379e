"""Logits of rows, by an exported file or by whatever else classifies. Needs no torch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from export.errors import GraphError
from export.triton_config import OUTPUT

PROVIDERS = ("CPUExecutionProvider",)
ERRORS_ONLY = 3

Images = NDArray[np.uint8]
Logits = NDArray[np.float32]
Classifier = Callable[[Images], Logits]


def of_file(path: Path, input_name: str) -> Classifier:
    """GraphError where ONNX Runtime refuses the file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    try:
        session: Any = onnxruntime.InferenceSession(path, options, providers=list(PROVIDERS))
    # Its exceptions have no base of their own.
    except Exception as error:
        raise GraphError(f"ONNX Runtime cannot load it: {error}") from error

    def run(images: Images) -> Logits:
        logits: Logits = session.run([OUTPUT], {input_name: images})[0]
        return logits

    return run


def in_batches(classify: Classifier, images: Images, batch_size: int) -> Logits:
    """`(N, classes)` logits of `(N, H, W, C)` images, `batch_size` rows at a time."""
    return np.concatenate([classify(batch) for batch in _batches(images, batch_size)])


def _batches(images: Images, batch_size: int) -> Iterator[Images]:
    for start in range(0, len(images), batch_size):
        yield images[start : start + batch_size]
