"""What both protocols ask of a request's parts, whatever they are written in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cascade.cascade_file import TensorSpec
from serving.config import Limits
from serving.errors import InvalidRequest, TooLarge, Unsupported
from serving.served import ServedCascade
from serving.shared_memory import Placement, SharedMemory

MAX_DIMENSIONS = 16
MAX_EXTENT = 2**31 - 1
MAX_ID = 1024
IN_A_THREAD = 256 * 1024
"""Bytes of JSON, typed contents and strings from which on the event loop does not wait for their decoding."""


@dataclass(slots=True)
class Intake:
    """One request on its way in: the model that it is for, and what it has brought so far that costs.

    Looked at before a tensor is decoded, so that nothing dear is done for what is refused anyway. `num_slow`
    bytes are strings and all else that is no raw tensor, `num_shared` lie in shared memory.
    """

    served: ServedCascade
    limits: Limits
    memory: SharedMemory
    num_slow: int = 0
    num_shared: int = 0

    def takes_long(self, num_bytes: int) -> bool:
        """Whether decoding is no work for the event loop. Of all `num_bytes`, and of what lies in shared
        memory, any may be strings where the model takes some."""
        if self.num_slow >= IN_A_THREAD:
            return True
        may_hold_more = num_bytes >= IN_A_THREAD or self.memory.is_allowed
        return may_hold_more and any(spec.datatype == "BYTES" for spec in self.served.cascade.inputs)

    def check_input(self, name: str, datatype: str, shape: tuple[int, ...]) -> bool:
        """False where the model takes no input of that name. Of strings each costs, so that there must be no
        more than the model takes; other shapes are looked at where the whole request is."""
        for spec in self.served.cascade.inputs:
            if spec.name == name:
                break
        else:
            return False
        check_datatype(spec, datatype)
        if datatype == "BYTES":
            check_shape(spec, shape)
        check_rows(shape[0], self.limits)
        return True

    def count_strings(self, datatype: str, num_bytes: int) -> None:
        """TooLarge where a request has more of what takes long to decode than may be."""
        if datatype != "BYTES":
            return
        self.num_slow += num_bytes
        if self.num_slow > self.limits.max_json_bytes:
            raise TooLarge(
                f"more than {self.limits.max_json_bytes} bytes of strings and what else is not raw"
            )

    def read(self, placement: Placement, datatype: str) -> bytes:
        """A tensor in shared memory; TooLarge where the inputs of the request are more than a body may be."""
        self.num_shared += placement.byte_size
        if self.num_shared > self.memory.max_read_bytes:
            raise TooLarge(f"more than {self.memory.max_read_bytes} bytes of shared memory in one request")
        self.count_strings(datatype, placement.byte_size)
        return placement.read()


def other_inputs(served: ServedCascade, names: Iterable[Any]) -> InvalidRequest:
    """For a request whose inputs are not the model's."""
    wanted = ", ".join(sorted(spec.name for spec in served.cascade.inputs))
    got = ", ".join(sorted({name for name in names if isinstance(name, str)})) or "none"
    return InvalidRequest(f"model {served.name!r} takes inputs {wanted}; got {got[:200]}")


def check_datatype(spec: TensorSpec, datatype: str) -> None:
    if datatype != spec.datatype:
        raise InvalidRequest(f"input {spec.name!r} is {spec.datatype}; got {datatype[:80]}")


def check_shape(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    fits = len(shape) == len(spec.shape) and all(
        want in (-1, got) for got, want in zip(shape, spec.shape, strict=True)
    )
    if not fits:
        raise InvalidRequest(f"input {spec.name!r} has shape {list(spec.shape)}; got {list(shape)}")


def check_rows(num_rows: int, limits: Limits) -> None:
    if num_rows > limits.max_request_rows:
        raise TooLarge(f"{num_rows} rows; a request may have at most {limits.max_request_rows}")


def checked_id(value: Any) -> str:
    """A request's id, which the answer repeats."""
    if not isinstance(value, str):
        raise InvalidRequest("id must be a string")
    if len(value) > MAX_ID:
        raise InvalidRequest(f"an id of {len(value)} characters; at most {MAX_ID} are taken")
    return value


def checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    """A shape of whole numbers from 1, each within 32 bits."""
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not shape:
        raise InvalidRequest(f"input {name!r}: shape must be a list of 1 to {MAX_DIMENSIONS} numbers")
    for extent in shape:
        if isinstance(extent, bool) or not isinstance(extent, int) or not 1 <= extent <= MAX_EXTENT:
            raise InvalidRequest(f"input {name!r}: shape holds {str(extent)[:40]}, which is no valid extent")
    return tuple(shape)


def check_output_parameters(name: str, parameters: Mapping[str, Any]) -> None:
    if parameters.get("classification"):
        raise Unsupported(f"output {name[:80]!r}: the classification extension is not offered")
