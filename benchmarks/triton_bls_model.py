"""The cascade as a Triton user writes it by hand: two members, called from a BLS model in Python.

Copied as `model.py` into the repository that benchmarks.triton_bls makes; it needs NumPy, and nothing of
ours.
Parameters: `members` (two names), `threshold`, and `variant`:

    sync        all requests of a batch in one call for each member; the calls block
    async       the same with awaited calls
    async_each  every request calls for itself, side by side, and the members' batchers merge the calls
"""

import asyncio
import json
from collections.abc import Generator, Sequence
from typing import Any, TypeAlias

import numpy as np
import triton_python_backend_utils as pb_utils

Outputs: TypeAlias = dict[str, Any]
Steps: TypeAlias = Generator[tuple[str, Any], Any, Outputs]
"""Yields calls `(member, rows)`, is sent their logits, and returns the outputs of all rows."""


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        self.members = parameters["members"]["string_value"].split(",")
        self.threshold = float(parameters["threshold"]["string_value"])
        self.variant = parameters["variant"]["string_value"]

    def execute(self, requests: Sequence[Any]) -> Any:
        """A list of responses, or a coroutine of one."""
        images = [pb_utils.get_input_tensor_by_name(request, "image").as_numpy() for request in requests]
        if self.variant == "async_each":
            return self._each(images)
        image = images[0] if len(images) == 1 else np.concatenate(images)
        counts = [len(rows) for rows in images]
        if self.variant == "async":
            return self._merged(image, counts)
        return _responses(self._run(image), counts)

    async def _merged(self, image: Any, counts: list[int]) -> list[Any]:
        return _responses(await self._run_async(image), counts)

    async def _each(self, images: list[Any]) -> list[Any]:
        outputs = await asyncio.gather(*(self._run_async(image) for image in images))
        return [_response(each) for each in outputs]

    def _run(self, image: Any) -> Outputs:
        steps = self._cascade(image)
        call = next(steps)
        while True:
            try:
                call = steps.send(_logits(_request(*call).exec()))
            except StopIteration as end:
                return dict(end.value)

    async def _run_async(self, image: Any) -> Outputs:
        steps = self._cascade(image)
        call = next(steps)
        while True:
            try:
                call = steps.send(_logits(await _request(*call).async_exec()))
            except StopIteration as end:
                return dict(end.value)

    def _cascade(self, image: Any) -> Steps:
        probabilities = _softmax((yield self.members[0], image))
        exit_stage = np.ones(len(image), np.int32)
        inside = np.flatnonzero(probabilities.max(axis=1) < self.threshold)
        if len(inside) > 0:
            second = _softmax((yield self.members[1], image[inside]))
            probabilities[inside] = (probabilities[inside] + second) / 2
            exit_stage[inside] = 2
        return {
            "probabilities": probabilities.astype(np.float32),
            "label": probabilities.argmax(axis=1).reshape(-1, 1),
            "score": probabilities.max(axis=1).astype(np.float32).reshape(-1, 1),
            "exit_stage": exit_stage.reshape(-1, 1),
        }


def _softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return powers / powers.sum(axis=1, keepdims=True)


def _request(member: str, image: Any) -> Any:
    return pb_utils.InferenceRequest(
        model_name=member, inputs=[pb_utils.Tensor("image", image)], requested_output_names=["logits"]
    )


def _logits(response: Any) -> Any:
    if response.has_error():
        raise pb_utils.TritonModelException(response.error().message())
    return pb_utils.get_output_tensor_by_name(response, "logits").as_numpy()


def _responses(outputs: Outputs, counts: list[int]) -> list[Any]:
    """One for each request, which had so many rows."""
    ends = np.cumsum(counts)
    return [
        _response({name: array[end - count : end] for name, array in outputs.items()})
        for count, end in zip(counts, ends, strict=True)
    ]


def _response(outputs: Outputs) -> Any:
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in outputs.items()])
