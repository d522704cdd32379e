"""What both protocols ask of a request's parts, whatever they are written in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.config import Limits
from serving.errors import InvalidRequest, TooLarge, Unsupported
from serving.served import ServedCascade
from serving.shared_memory import SharedMemory

MAX_DIMENSIONS = 16
MAX_EXTENT = 2**31 - 1
MAX_ID = 1024
IN_A_THREAD = 256 * 1024
"""Bytes of JSON, typed contents and strings from which on the event loop does not wait for their decoding."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The model that a request is for, and what it may bring, looked at before a tensor is decoded. Admission
    checks all of it; here is what would make decoding dear."""

    served: ServedCascade
    limits: Limits
    memory: SharedMemory

    def takes_long(self, num_slow: int, num_bytes: int) -> bool:
        """Whether decoding is no work for the event loop. `num_slow` bytes are no raw tensors; of all
        `num_bytes`, and of what lies in shared memory, any may be strings where the model takes some."""
        if num_slow >= IN_A_THREAD:
            return True
        may_hold_more = num_bytes >= IN_A_THREAD or self.memory.is_allowed
        return may_hold_more and any(spec.datatype == "BYTES" for spec in self.served.cascade.inputs)

    def check_input(self, name: str, datatype: str, shape: tuple[int, ...]) -> bool:
        """False where the model takes no input of that name. Of strings each costs, so that there must be no
        more than the model takes."""
        for spec in self.served.cascade.inputs:
            if spec.name == name:
                break
        else:
            return False
        if datatype != spec.datatype:
            raise InvalidRequest(f"input {name!r} is {spec.datatype}; got {datatype[:80]}")
        if datatype == "BYTES" and not _fits(shape, spec.shape):
            raise InvalidRequest(f"input {name!r} has shape {list(spec.shape)}; got {list(shape)}")
        if shape[0] > self.limits.max_request_rows:
            raise TooLarge(f"{shape[0]} rows; a request may have at most {self.limits.max_request_rows}")
        return True

    def other_inputs(self, names: Iterable[Any]) -> InvalidRequest:
        """For a request with inputs that the model does not take."""
        wanted = ", ".join(sorted(spec.name for spec in self.served.cascade.inputs))
        got = ", ".join(sorted({name for name in names if isinstance(name, str)}))
        return InvalidRequest(f"model {self.served.name!r} takes inputs {wanted}; got {got[:200]}")

    def check_slow(self, num_bytes: int) -> int:
        """What takes long to decode, strings and all that is no raw tensor, in one request."""
        if num_bytes > self.limits.max_json_bytes:
            raise TooLarge(
                f"more than {self.limits.max_json_bytes} bytes of strings and what else is not raw"
            )
        return num_bytes

    def check_shared(self, num_bytes: int) -> int:
        """What the inputs of one request take from shared memory together."""
        if num_bytes > self.memory.max_read_bytes:
            raise TooLarge(f"more than {self.memory.max_read_bytes} bytes of shared memory in one request")
        return num_bytes


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want in (-1, got) for got, want in zip(shape, wanted, strict=True)
    )


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
