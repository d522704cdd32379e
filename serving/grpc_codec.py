"""Inference over gRPC: the protocol's protobuf messages to requests and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as pb

from serving.datatypes import DTYPES, byte_strings_to_bytes, tensor_from_bytes
from serving.errors import InvalidRequest
from serving.http_codec import checked_shape
from serving.json_tensors import tensor_from_json
from serving.messages import OUTPUT_DATATYPES, InferRequest, InferResponse, Parameter

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


def decode(message: pb.ModelInferRequest) -> InferRequest:
    """Views on the message's raw contents where it has them, arrays of its typed contents otherwise."""
    arrays: dict[str, NDArray[np.generic]] = {}
    datatypes: dict[str, str] = {}
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise InvalidRequest(f"{len(raw)} raw_input_contents for {len(message.inputs)} inputs")
    for index, tensor in enumerate(message.inputs):
        if tensor.name in arrays:
            raise InvalidRequest(f"input {tensor.name[:80]!r} stands twice")
        arrays[tensor.name] = _tensor(tensor, raw[index] if raw else None)
        datatypes[tensor.name] = tensor.datatype
    return InferRequest(
        message.model_name,
        message.model_version,
        arrays,
        datatypes,
        message.id,
        _parameters(message),
        tuple(output.name for output in message.outputs),
    )


def _tensor(tensor: Any, raw: bytes | None) -> NDArray[np.generic]:
    name, datatype = tensor.name, tensor.datatype
    if datatype not in DTYPES and datatype != "BYTES":
        raise InvalidRequest(f"input {name[:80]!r}: datatype {datatype[:80]!r} is unknown")
    shape = checked_shape(name, list(tensor.shape))
    if raw is not None:
        if tensor.HasField("contents"):
            raise InvalidRequest(f"input {name!r} has both contents and raw_input_contents")
        return tensor_from_bytes(name, datatype, shape, raw)
    if datatype not in CONTENTS:
        raise InvalidRequest(f"input {name!r}: {datatype} goes in raw_input_contents only")
    values = list(getattr(tensor.contents, CONTENTS[datatype]))
    if datatype == "BYTES":
        return _byte_array(name, shape, values)
    return tensor_from_json(name, datatype, shape, values)


def _byte_array(name: str, shape: tuple[int, ...], values: list[bytes]) -> NDArray[np.generic]:
    return tensor_from_bytes(name, "BYTES", shape, byte_strings_to_bytes(values))


def _parameters(message: pb.ModelInferRequest) -> dict[str, Parameter]:
    """`binary_data_output` has no meaning here: answers are raw contents."""
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "string_param")
        for name, value in message.parameters.items()
        if name != "binary_data_output"
    }


def encode(response: InferResponse) -> pb.ModelInferResponse:
    message = pb.ModelInferResponse(model_name=response.model, model_version=response.version, id=response.id)
    for name, value in response.parameters.items():
        if isinstance(value, bool):
            message.parameters[name].bool_param = value
        else:
            message.parameters[name].string_param = str(value)
    for name, values in response.outputs.items():
        shape = [len(values)] if isinstance(values, list) else values.shape
        raw = byte_strings_to_bytes(values) if isinstance(values, list) else values.tobytes()
        message.outputs.add(name=name, datatype=OUTPUT_DATATYPES[name], shape=shape)
        message.raw_output_contents.append(raw)
    return message
