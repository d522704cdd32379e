"""Inference over HTTP as bytes: tensors binary after a head of JSON, or as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from loadtest.errors import WireError
from loadtest.wire.client import MISREAD, Answer, Ask
from loadtest.wire.tensors import DTYPES, STRINGS, NamedTensor, array_from_bytes


def encode_binary(ask: Ask) -> tuple[bytes, int]:
    """The body, and how many bytes of it are JSON."""
    raw = [tensor.to_bytes() for tensor in ask.inputs]
    inputs = [
        {**_described(tensor), "parameters": {"binary_data_size": len(data)}}
        for tensor, data in zip(ask.inputs, raw, strict=True)
    ]
    head = orjson.dumps(_document(ask, inputs, is_binary=True))
    return b"".join([head, *raw]), len(head)


def encode_json(ask: Ask) -> bytes:
    inputs = [{**_described(tensor), "data": _json_data(tensor)} for tensor in ask.inputs]
    return orjson.dumps(_document(ask, inputs, is_binary=False), option=orjson.OPT_SERIALIZE_NUMPY)


def _document(ask: Ask, inputs: Sequence[Mapping[str, Any]], *, is_binary: bool) -> dict[str, Any]:
    outputs = [{"name": name, "parameters": {"binary_data": is_binary}} for name in ask.outputs]
    parameters = {"parameters": ask.parameters} if ask.parameters else {}
    return {**parameters, "inputs": inputs, "outputs": outputs}


def _described(tensor: NamedTensor) -> dict[str, Any]:
    return {"name": tensor.name, "shape": tensor.shape, "datatype": tensor.datatype}


def _json_data(tensor: NamedTensor) -> Any:
    """Row-major and flat; numbers are no longer than their datatype needs."""
    if tensor.datatype == STRINGS:
        return [text.decode() if isinstance(text, bytes) else text for text in tensor.array.ravel().tolist()]
    return np.ascontiguousarray(tensor.array.ravel(), DTYPES[tensor.datatype])


def decode_infer(body: bytes, json_bytes: int | None) -> Answer:
    """Outputs may be binary, in the order of the JSON, or plain JSON."""
    split = len(body) if json_bytes is None else json_bytes
    try:
        head = orjson.loads(body[:split])
        is_degraded = bool((head.get("parameters") or {}).get("degraded", False))
        outputs, position = {}, split
        for output in head["outputs"]:
            size = (output.get("parameters") or {}).get("binary_data_size")
            raw = body[position : position + (size or 0)]
            outputs[output["name"]] = _json_array(output) if size is None else _binary_array(output, raw)
            position += size or 0
    except MISREAD as error:
        raise WireError(f"the answer is not what the protocol says ({error!r})") from None
    if position != len(body):
        raise WireError(f"the answer has {len(body)} bytes where its JSON accounts for {position}")
    return Answer(outputs, is_degraded)


def _binary_array(output: Mapping[str, Any], raw: bytes) -> NDArray[Any]:
    return array_from_bytes(output["name"], output["datatype"], output["shape"], raw)


def _json_array(output: Mapping[str, Any]) -> NDArray[Any]:
    datatype = output["datatype"]
    dtype = np.dtype(np.str_) if datatype == STRINGS else DTYPES[datatype]
    return np.array(output["data"], dtype).reshape(output["shape"])


def http_message(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode("latin-1") + body
