"""What every ONNX file that is published must be: one file, valid, and nothing in it that leads elsewhere."""

from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message

from export.errors import ModelError

MAX_IR_VERSION = 10
MAX_OPSET = 21
"""What ONNX Runtime 1.18 to 1.20 load, and so Triton from 24.07 on: newer runtimes read older files."""

EXTERNAL = onnx.TensorProto.EXTERNAL


def read_onnx(content: bytes) -> onnx.ModelProto:
    """A valid model that is whole in itself; ModelError says what is wrong."""
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError, TypeError) as error:
        raise ModelError(f"not an ONNX file ({line(error)})") from None
    check_whole(model)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ModelError(f"the graph is not valid: {line(error)}") from None
    return model


def check_whole(model: onnx.ModelProto) -> None:
    """Refuse data that is kept outside of the file, wherever a graph may name it.

    Initialisers, attributes, subgraphs, sparse tensors and functions are all messages within messages, so the
    walk knows none of them by name.
    """
    for message in _messages(model):
        if isinstance(message, onnx.TensorProto) and (
            message.data_location == EXTERNAL or message.external_data
        ):
            raise ModelError(f"keeps tensor {message.name[:80]!r} in another file; a member is one file")


def check_versions(model: onnx.ModelProto) -> None:
    """Refuse what the runtimes in use do not load."""
    if model.ir_version > MAX_IR_VERSION:
        raise ModelError(
            f"has IR version {model.ir_version}; Triton's ONNX Runtime reads up to {MAX_IR_VERSION}"
        )
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version > MAX_OPSET:
            raise ModelError(
                f"needs operator set {entry.version}; Triton's ONNX Runtime knows up to {MAX_OPSET}"
            )


def strip_notes(message: Message) -> None:
    """Drop notes at every level: they hold stack traces, with the paths of the machine it was made on."""
    for part in _messages(message):
        for name in ("metadata_props", "doc_string"):
            if name in part.DESCRIPTOR.fields_by_name:
                part.ClearField(name)


def _messages(message: Message) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for child in [value] if isinstance(value, Message) else value:
                yield from _messages(child)


def line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
