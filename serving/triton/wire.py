"""A member's calls and answers as bytes.

A protobuf message may be put together from parts: all but the tensors is serialised as usual, and the
tensors are joined to it as they lie, once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as schema

from cascade.cascade_file import Cascade
from cascade.cascade_file import Member as MemberSpec
from serving.datatypes import DTYPES, byte_strings_to_bytes
from serving.triton.failures import Failures
from serving.triton.places import Place

LENGTH_DELIMITED = 2
RAW_INPUT = bytes(
    [schema.ModelInferRequest.DESCRIPTOR.fields_by_name["raw_input_contents"].number << 3 | LENGTH_DELIMITED]
)
"""What goes before each tensor, and its length."""


Inputs = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Spot:
    """Where the output is in a region that Triton shares, for who asked to have it there."""

    place: Place
    offset: int


class Wire:
    """Calls for one output of one version of a model, and what comes back."""

    def __init__(self, spec: MemberSpec, cascade: Cascade, output_datatype: str, failures: Failures) -> None:
        self._name, self._version = spec.name, str(spec.version)
        self._output, self._datatype = spec.output, output_datatype
        self._num_classes = len(cascade.classes)
        self._dtype = DTYPES[output_datatype]
        self._datatypes = {spec.inputs[tensor.name]: tensor.datatype for tensor in cascade.inputs}
        self._failures = failures
        head = schema.ModelInferRequest(model_name=self._name, model_version=self._version)
        head.outputs.add(name=self._output)
        self._head: bytes = head.SerializeToString()

    def num_output_bytes(self, rows: int) -> int:
        return rows * self._num_classes * self._dtype.itemsize

    def request(self, inputs: Inputs, tensors: Sequence[Any]) -> bytes:
        """With the tensors, as `encoded` gave them."""
        parts = [self._head, self._described(inputs).SerializeToString()]
        for tensor in tensors:
            parts += (RAW_INPUT, varint(len(tensor)), tensor)
        return b"".join(parts)

    def shared_request(
        self, inputs: Inputs, tensors: Sequence[Any], place: Place, rows: int
    ) -> tuple[bytes, Spot]:
        """The tensors are written into the place, and the output is wanted there."""
        num_output_bytes = self.num_output_bytes(rows)
        *offsets, output_offset = place.write(tensors, num_output_bytes)
        described = self._described(inputs)
        for given, offset, tensor in zip(described.inputs, offsets, tensors, strict=True):
            _locate(given, place, offset, len(tensor))
        wanted = described.outputs.add(name=self._output)
        _locate(wanted, place, output_offset, num_output_bytes)
        described.model_name, described.model_version = self._name, self._version
        return described.SerializeToString(), Spot(place, output_offset)

    def _described(self, inputs: Inputs) -> schema.ModelInferRequest:
        described = schema.ModelInferRequest()
        for name, array in inputs.items():
            described.inputs.add(name=name, datatype=self._datatypes[name], shape=array.shape)
        return described

    def outputs(self, answer: bytes, rows: int, spot: Spot | None = None) -> NDArray[np.floating]:
        """MemberFailed where the answer's output is none for so many rows."""
        try:
            response = schema.ModelInferResponse.FromString(answer)
        except DecodeError:
            raise self._failures.wrong("an answer that cannot be read") from None
        if (response.model_name, response.model_version) != (self._name, self._version):
            raise self._failures.wrong("the answer of another model")
        index = self._index(response)
        output = response.outputs[index]
        if output.datatype != self._datatype:
            raise self._failures.wrong(f"another datatype than {self._datatype}")
        shape = tuple(output.shape)
        if shape != (rows, self._num_classes):
            raise self._failures.wrong(f"shape {shape} for {rows} rows")
        data = response.raw_output_contents[index]
        if spot is not None and not data:
            data = spot.place.read(spot.offset, self.num_output_bytes(rows))
        if len(data) != self.num_output_bytes(rows):
            raise self._failures.wrong(f"{len(data)} bytes for shape {shape}")
        array: NDArray[np.floating] = np.frombuffer(data, self._dtype).reshape(shape)
        return array

    def _index(self, response: schema.ModelInferResponse) -> int:
        """Where the output is; only raw contents are looked at."""
        names = [output.name for output in response.outputs]
        if self._output not in names or len(response.raw_output_contents) != len(names):
            raise self._failures.wrong(f"no output {self._output!r}")
        return names.index(self._output)


def _locate(tensor: Any, place: Place, offset: int, num_bytes: int) -> None:
    tensor.parameters["shared_memory_region"].string_param = place.name
    tensor.parameters["shared_memory_offset"].int64_param = offset
    tensor.parameters["shared_memory_byte_size"].int64_param = num_bytes


def encoded(inputs: Inputs) -> list[Any]:
    """As on the wire, each of a length in bytes, and to be joined to bytes; of numbers views, if they lie in
    order."""
    return [_encoded(array) for array in inputs.values()]


def _encoded(array: NDArray[np.generic]) -> Any:
    if array.dtype != np.object_:
        return array.reshape(-1).view(np.uint8)
    return byte_strings_to_bytes([text.encode() for text in array.ravel().tolist()])


def varint(number: int) -> bytes:
    """Seven bits a byte, the least first; all but the last have the eighth set."""
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)
