"""Inference over HTTP: JSON, followed by binary tensors where the client or the server chose them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from serving.datatypes import DTYPES, byte_strings_to_bytes, tensor_from_bytes
from serving.errors import InvalidRequest
from serving.http.json_document import parse_object
from serving.http.raw_request import raw_tensor
from serving.json_tensors import tensor_from_json
from serving.messages import InferRequest, InferResponse, Parameter
from serving.request_checks import (
    Intake,
    check_output_parameters,
    checked_id,
    checked_shape,
    other_inputs,
)
from serving.shared_memory import Placement, SharedMemory, write_outputs


@dataclass(frozen=True, slots=True)
class Encoding:
    """How outputs go back: in shared memory, or as binary tensors by name, else by the request's default."""

    binary_default: bool
    binary: Mapping[str, bool] = field(default_factory=dict)
    placements: Mapping[str, Placement] = field(default_factory=dict)

    def is_binary(self, output: str) -> bool:
        return self.binary.get(output, self.binary_default)


def decode(
    model: str, version: str, body: memoryview, json_length: int | None, intake: Intake
) -> tuple[InferRequest, Encoding]:
    """Parse a request; `json_length` is where the JSON ends and binary tensors begin."""
    head, tail = _divide(body, json_length)
    document = parse_object(bytes(head), "the request")
    parameters = dict(_object(document.get("parameters", {}), "parameters"))
    binary_default = _flag(parameters.pop("binary_data_output", False), "binary_data_output")
    arrays, datatypes = _inputs(document.get("inputs"), tail, intake)
    outputs, binary, placements = _requested(document.get("outputs", []), intake.memory)
    request_id = checked_id(document.get("id", ""))
    request = InferRequest(model, version, arrays, datatypes, request_id, _parameters(parameters), outputs)
    return request, Encoding(binary_default, binary, placements)


def decode_raw(model: str, version: str, body: memoryview, intake: Intake) -> tuple[InferRequest, Encoding]:
    """A body that is nothing but one row of the one input; the answer's tensors are binary too."""
    specs = intake.served.cascade.inputs
    for spec in specs:
        intake.count_strings(spec.datatype, len(body))
    spec, array = raw_tensor(specs, body)
    return InferRequest(model, version, {spec.name: array}, {spec.name: spec.datatype}), Encoding(True)


def _divide(body: memoryview, json_length: int | None) -> tuple[memoryview, memoryview]:
    if json_length is None:
        return body, body[len(body) :]
    if not 0 < json_length <= len(body):
        raise InvalidRequest(
            f"Inference-Header-Content-Length {json_length} does not fit a body of {len(body)}"
        )
    return body[:json_length], body[json_length:]


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{what} must be a JSON object")
    return value


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"parameter {name!r} must be true or false")
    return value


def _parameters(values: Mapping[str, Any]) -> dict[str, Parameter]:
    for name, value in values.items():
        if not isinstance(value, bool | int | float | str):
            raise InvalidRequest(f"parameter {name[:80]!r} must be a string, a number or a boolean")
    return dict(values)


def _inputs(
    entries: Any, tail: memoryview, intake: Intake
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    if not isinstance(entries, list) or not entries:
        raise InvalidRequest("inputs must be a list of at least one tensor")
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    datatypes: dict[str, str] = {}
    offset = 0
    for entry in entries:
        name, datatype, shape = _header(_object(entry, "an input"))
        if name in arrays:
            raise InvalidRequest(f"input {name!r} stands twice")
        if not intake.check_input(name, datatype, shape):
            raise other_inputs(intake.served, (e.get("name") for e in entries if isinstance(e, dict)))
        parameters = _object(entry.get("parameters", {}), f"input {name!r}: parameters")
        if (placement := intake.memory.placement(parameters, f"input {name!r}")) is not None:
            _check_alone(name, entry, parameters)
            arrays[name] = tensor_from_bytes(name, datatype, shape, intake.read(placement, datatype))
        elif (size := _binary_size(name, entry, parameters)) is not None:
            data = _binary_data(name, tail[offset : offset + size], size)
            intake.count_strings(datatype, size)
            arrays[name] = tensor_from_bytes(name, datatype, shape, data)
            offset += size
        else:
            arrays[name] = tensor_from_json(name, datatype, shape, entry.get("data"))
        datatypes[name] = datatype
    if offset != len(tail):
        raise InvalidRequest(f"{len(tail)} bytes of binary data, of which the inputs name {offset}")
    return arrays, datatypes


def _check_alone(name: str, entry: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    if "data" in entry or "binary_data_size" in parameters:
        raise InvalidRequest(f"input {name!r} has both data and a shared memory region")


def _header(entry: Mapping[str, Any]) -> tuple[str, str, tuple[int, ...]]:
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or not 0 < len(name) <= 256:
        raise InvalidRequest("an input needs a name of 1 to 256 characters")
    if not isinstance(datatype, str) or (datatype not in DTYPES and datatype != "BYTES"):
        raise InvalidRequest(f"input {name!r}: datatype {str(datatype)[:80]!r} is unknown")
    return name, datatype, checked_shape(name, shape)


def _binary_size(name: str, entry: Mapping[str, Any], parameters: Mapping[str, Any]) -> int | None:
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise InvalidRequest(f"input {name!r}: binary_data_size {str(size)[:40]} is no size")
    if "data" in entry:
        raise InvalidRequest(f"input {name!r} has both data and binary_data_size")
    return size


def _binary_data(name: str, data: memoryview, size: int) -> memoryview:
    if len(data) != size:
        raise InvalidRequest(f"input {name!r}: binary_data_size {size} goes past the end of the body")
    return data


def _requested(
    entries: Any, memory: SharedMemory
) -> tuple[tuple[str, ...], dict[str, bool], dict[str, Placement]]:
    if not isinstance(entries, list):
        raise InvalidRequest("outputs must be a list")
    names: list[str] = []
    binary: dict[str, bool] = {}
    placements: dict[str, Placement] = {}
    for entry in entries:
        output = _object(entry, "an output")
        name = output.get("name")
        if not isinstance(name, str):
            raise InvalidRequest("an output needs a name")
        names.append(name)
        parameters = _object(output.get("parameters", {}), f"output {name[:80]!r}: parameters")
        check_output_parameters(name, parameters)
        if "binary_data" in parameters:
            binary[name] = _flag(parameters["binary_data"], "binary_data")
        if (placement := memory.placement(parameters, f"output {name[:80]!r}")) is not None:
            placements[name] = placement
    return tuple(names), binary, placements


def encode(response: InferResponse, encoding: Encoding) -> tuple[bytes, int | None]:
    """The body, and the length of its JSON part where binary tensors follow."""
    outputs: list[dict[str, Any]] = []
    chunks: list[bytes] = []
    placed: dict[str, bytes] = {}
    for name, values in response.outputs.items():
        output: dict[str, Any] = {
            "name": name,
            "datatype": response.datatypes[name],
            "shape": [len(values)] if isinstance(values, list) else list(values.shape),
        }
        if name in encoding.placements:
            placed[name] = _bytes_of(values)  # without parameters: clients take any for a binary tensor's
        elif encoding.is_binary(name):
            chunks.append(_bytes_of(values))
            output["parameters"] = {"binary_data_size": len(chunks[-1])}
        else:
            output["data"] = (
                [value.decode() for value in values] if isinstance(values, list) else values.ravel()
            )
        outputs.append(output)
    if placed:
        write_outputs(placed, encoding.placements)
    document: dict[str, Any] = {"model_name": response.model, "model_version": response.version}
    if response.id:
        document["id"] = response.id
    document |= {"parameters": response.parameters, "outputs": outputs}
    head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join((head, *chunks)), len(head)) if chunks else (head, None)


def _bytes_of(values: np.ndarray[Any, Any] | list[bytes]) -> bytes:
    return byte_strings_to_bytes(values) if isinstance(values, list) else values.tobytes()
