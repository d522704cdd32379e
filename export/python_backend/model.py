"""Serves the `model.onnx` beside it from Triton's Python backend, for a Triton without ONNX Runtime.

Published as it stands into a version's folder; it needs NumPy and ONNX Runtime, and nothing of ours.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

Tensors: TypeAlias = dict[str, Any]
"""Arrays by name; unless the model takes no batches, the first axis of each is the rows."""


class TritonPythonModel:
    """One instance of the model: one session."""

    def initialize(self, args: dict[str, str]) -> None:
        _check_numpy()
        config = json.loads(args["model_config"])
        self.can_batch = config["max_batch_size"] > 0
        self.session = onnxruntime.InferenceSession(
            Path(args["model_repository"], args["model_version"], "model.onnx"),
            _session_options(config["parameters"]),
            providers=_providers(args["model_instance_kind"], args["model_instance_device_id"]),
        )
        self.outputs = [output.name for output in self.session.get_outputs()]
        _check_names("input", config, [tensor.name for tensor in self.session.get_inputs()])
        _check_names("output", config, self.outputs)
        self._check_device(args["model_instance_kind"])

    def _check_device(self, kind: str) -> None:
        """ONNX Runtime would go on without its GPU, and say so in a log at most."""
        if kind == "GPU" and "CUDAExecutionProvider" not in self.session.get_providers():
            raise pb_utils.TritonModelException("a GPU was asked for, and ONNX Runtime cannot use it")

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """As many responses as requests, in their order."""
        responses: list[Any] = [None] * len(requests)
        for positions, inputs in self._groups(requests, responses):
            wanted = [requests[position].requested_output_names() for position in positions]
            for position, response in zip(positions, self._answer(inputs, wanted), strict=True):
                responses[position] = response
        return responses

    def _groups(
        self, requests: Sequence[Any], responses: list[Any]
    ) -> Iterator[tuple[list[int], list[Tensors]]]:
        """Positions and inputs of requests that fit into one run; those that cannot be read are answered."""
        groups: dict[object, tuple[list[int], list[Tensors]]] = {}
        for position, request in enumerate(requests):
            try:
                inputs = {tensor.name(): _readable(tensor.as_numpy()) for tensor in request.inputs()}
            except Exception as error:
                responses[position] = _failure(error)
                continue
            positions, members = groups.setdefault(self._kind(position, inputs), ([], []))
            positions.append(position)
            members.append(inputs)
        yield from groups.values()

    def _kind(self, position: int, inputs: Tensors) -> object:
        """Equal for requests whose rows may be concatenated."""
        if not self.can_batch:
            return position
        return frozenset((name, array.dtype, array.shape[1:]) for name, array in inputs.items())

    def _answer(self, members: list[Tensors], wanted: Sequence[Collection[str]]) -> list[Any]:
        """One run for all, and where that fails one for each, so that only the guilty fail."""
        try:
            parts = self._run(members, wanted)
        except Exception as error:
            if len(members) == 1:
                return [_failure(error)]
            return [self._answer([inputs], [names])[0] for inputs, names in zip(members, wanted, strict=True)]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(name, part[name]) for name in names])
            for part, names in zip(parts, wanted, strict=True)
        ]

    def _run(self, members: list[Tensors], wanted: Sequence[Collection[str]]) -> list[Tensors]:
        """The outputs that anyone wants, cut by request."""
        names = [name for name in self.outputs if any(name in each for each in wanted)]
        arrays = self.session.run(names, _joined(members))
        if not self.can_batch:
            return [dict(zip(names, arrays, strict=True))]
        rows = [len(next(iter(inputs.values()))) for inputs in members]
        for name, array in zip(names, arrays, strict=True):
            if array.shape[:1] != (sum(rows),):
                raise ValueError(f"output {name} has shape {array.shape} for {sum(rows)} rows")
        ends = np.cumsum(rows)[:-1]
        cut = [np.split(array, ends) for array in arrays]
        return [dict(zip(names, parts, strict=True)) for parts in zip(*cut, strict=True)]


def _session_options(parameters: dict[str, dict[str, str]]) -> Any:
    """One thread that never spins: Triton runs instances side by side, and their threads fight over cores."""
    options = onnxruntime.SessionOptions()
    threads = parameters.get("intra_op_num_threads", {"string_value": "1"})
    options.intra_op_num_threads = int(threads["string_value"])
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _providers(kind: str, device: str) -> list[Any]:
    if kind == "GPU":
        return [("CUDAExecutionProvider", {"device_id": device}), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


def _check_numpy() -> None:
    """Some builds of the backend read wrong values from NumPy 2 and send empty outputs, without an error."""
    known = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    read = pb_utils.Tensor.from_dlpack("known", pb_utils.Tensor("known", known).to_dlpack())
    if not np.array_equal(read.as_numpy(), known):
        raise pb_utils.TritonModelException(
            f"this Triton misreads the tensors of NumPy {np.__version__}; install an older one for it"
        )


def _check_names(part: str, config: dict[str, Any], names: list[str]) -> None:
    unknown = {tensor["name"] for tensor in config[part]} - set(names)
    if unknown:
        raise pb_utils.TritonModelException(f"model.onnx has no {part} {sorted(unknown)}, only {names}")


def _joined(members: list[Tensors]) -> Tensors:
    if len(members) == 1:
        return members[0]
    return {name: np.concatenate([inputs[name] for inputs in members]) for name in members[0]}


def _readable(array: Any) -> Any:
    """Texts for ONNX Runtime, which would take bytes for their Python notation."""
    if array.dtype != object:
        return array
    texts = [text.decode("utf-8") for text in array.flat]
    return np.array(texts, object).reshape(array.shape)


def _failure(error: Exception) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
