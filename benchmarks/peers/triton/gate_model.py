"""The last step of the ensemble, in Triton's Python backend: gates rows that have been through both members.

Copied as `model.py` into the repository; it needs NumPy, and nothing of ours. Parameter: `threshold`.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        self.threshold = float(parameters["threshold"]["string_value"])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """All requests of a batch in one pass."""
        first, second = (_joined(requests, name) for name in ("first", "second"))
        inside = first.max(axis=1) < self.threshold
        probabilities = np.where(inside[:, None], (first + second) / 2, first)
        label = probabilities.argmax(axis=1).reshape(-1, 1)
        exit_stage = np.where(inside, 2, 1).astype(np.int32).reshape(-1, 1)
        counts = [len(pb_utils.get_input_tensor_by_name(request, "first").as_numpy()) for request in requests]
        return [
            _response(label[end - count : end], exit_stage[end - count : end])
            for count, end in zip(counts, np.cumsum(counts), strict=True)
        ]


def _joined(requests: Sequence[Any], name: str) -> Any:
    """Probabilities of all rows, from the logits of a member."""
    logits = np.concatenate(
        [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
    )
    powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return powers / powers.sum(axis=1, keepdims=True)


def _response(label: Any, exit_stage: Any) -> Any:
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor("label", label), pb_utils.Tensor("exit_stage", exit_stage)]
    )
