"""Inference over gRPC: the protocol's protobuf messages to requests and back."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as pb

from serving.datatypes import DTYPES, byte_strings_to_bytes, tensor_from_bytes
from serving.errors import InvalidRequest
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

SHARED = "shared_memory_region"
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def decode(
    message: pb.ModelInferRequest, intake: Intake, deadline_s: float = math.inf
) -> tuple[InferRequest, dict[str, Placement]]:
    """Views on the message's raw contents where it has them, arrays of its typed contents otherwise; and
    which outputs go to shared memory."""
    inputs, datatypes = _inputs(message, intake)
    request = InferRequest(
        message.model_name,
        message.model_version,
        inputs,
        datatypes,
        checked_id(message.id),
        _parameters(message.parameters, "binary_data_output"),
        tuple(output.name for output in message.outputs),
        deadline_s,
    )
    return request, _output_places(message, intake.memory)


def _inputs(
    message: pb.ModelInferRequest, intake: Intake
) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]]:
    """Raw contents stand in the order of the inputs, but for those in shared memory."""
    arrays: dict[str, NDArray[np.generic]] = {}
    datatypes: dict[str, str] = {}
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        _check_count(message)
    used = 0
    for tensor in message.inputs:
        name, datatype = tensor.name, tensor.datatype
        if name in arrays:
            raise InvalidRequest(f"input {name[:80]!r} stands twice")
        shape = _shape(tensor, name, datatype)
        if not intake.check_input(name, datatype, shape):
            raise other_inputs(intake.served, (other.name for other in message.inputs))
        placement = (
            intake.memory.placement(_parameters(tensor.parameters), f"input {name[:80]!r}")
            if tensor.parameters
            else None
        )
        if placement is not None:
            arrays[name] = _raw(tensor, shape, intake.read(placement, datatype))
        elif raw:
            intake.count_strings(datatype, len(raw[used]))
            arrays[name] = _raw(tensor, shape, raw[used])
            used += 1
        else:
            arrays[name] = _typed(tensor, shape)
        datatypes[name] = datatype
    if used != len(raw):
        raise InvalidRequest(f"{len(raw)} raw_input_contents for {used} inputs")
    return arrays, datatypes


def _check_count(message: pb.ModelInferRequest) -> None:
    expected = sum(SHARED not in tensor.parameters for tensor in message.inputs)
    if len(message.raw_input_contents) != expected:
        raise InvalidRequest(f"{len(message.raw_input_contents)} raw_input_contents for {expected} inputs")


def _output_places(message: pb.ModelInferRequest, memory: SharedMemory) -> dict[str, Placement]:
    placements: dict[str, Placement] = {}
    for output in message.outputs:
        if output.parameters:
            parameters = _parameters(output.parameters)
            check_output_parameters(output.name, parameters)
            if (placement := memory.placement(parameters, f"output {output.name[:80]!r}")) is not None:
                placements[output.name] = placement
    return placements


def _shape(tensor: Any, name: str, datatype: str) -> tuple[int, ...]:
    if datatype not in DTYPES and datatype != "BYTES":
        raise InvalidRequest(f"input {name[:80]!r}: datatype {datatype[:80]!r} is unknown")
    return checked_shape(name, list(tensor.shape))


def _raw(tensor: Any, shape: tuple[int, ...], data: bytes) -> NDArray[np.generic]:
    if tensor.HasField("contents"):
        raise InvalidRequest(f"input {tensor.name!r} has contents, and its data in raw form too")
    return tensor_from_bytes(tensor.name, tensor.datatype, shape, data)


def _typed(tensor: Any, shape: tuple[int, ...]) -> NDArray[np.generic]:
    name, datatype = tensor.name, tensor.datatype
    if datatype not in CONTENTS:
        raise InvalidRequest(f"input {name!r}: {datatype} goes in raw_input_contents only")
    values = list(getattr(tensor.contents, CONTENTS[datatype]))
    if len(tensor.contents.ListFields()) > 1:
        raise InvalidRequest(f"input {name!r} has contents of several kinds; {CONTENTS[datatype]} is its own")
    if datatype == "BYTES":
        return _byte_array(name, shape, values)
    return tensor_from_json(name, datatype, shape, values)


def _byte_array(name: str, shape: tuple[int, ...], values: list[bytes]) -> NDArray[np.generic]:
    return tensor_from_bytes(name, "BYTES", shape, byte_strings_to_bytes(values))


def _parameters(values: Mapping[str, Any], *passed_over: str) -> dict[str, Parameter]:
    """`binary_data_output` has no meaning here: answers are raw contents."""
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "string_param")
        for name, value in values.items()
        if name not in passed_over
    }


def encode(response: InferResponse, placements: Mapping[str, Placement]) -> pb.ModelInferResponse:
    """Raw contents have an entry for each output, empty for what went to shared memory."""
    message = pb.ModelInferResponse(model_name=response.model, model_version=response.version, id=response.id)
    _set_parameters(message.parameters, response.parameters)
    placed: dict[str, bytes] = {}
    for name, values in response.outputs.items():
        shape = [len(values)] if isinstance(values, list) else values.shape
        raw = byte_strings_to_bytes(values) if isinstance(values, list) else values.tobytes()
        output = message.outputs.add(name=name, datatype=response.datatypes[name], shape=shape)
        if name in placements:
            placed[name], raw = raw, b""
            _set_parameters(output.parameters, _place(placements[name], len(placed[name])))
        message.raw_output_contents.append(raw)
    if placed:
        write_outputs(placed, placements)
    return message


def _place(placement: Placement, num_bytes: int) -> dict[str, Parameter]:
    """Of an output that lies in shared memory: where, and how much of its place it took."""
    return {
        "shared_memory_region": placement.region.name,
        "shared_memory_byte_size": num_bytes,
        "shared_memory_offset": placement.offset,
    }


def _set_parameters(target: Any, parameters: Mapping[str, Parameter]) -> None:
    for name, value in parameters.items():
        if isinstance(value, bool):
            target[name].bool_param = value
        elif isinstance(value, int):
            target[name].int64_param = value
        elif isinstance(value, float):
            target[name].double_param = value
        else:
            target[name].string_param = value
