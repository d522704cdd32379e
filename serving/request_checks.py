"""What both protocols ask of a request's parts, whatever they are written in."""

from collections.abc import Mapping
from typing import Any

from serving.errors import InvalidRequest, TooLarge, Unsupported
from serving.shared_memory import SharedMemory

MAX_DIMENSIONS = 16
MAX_EXTENT = 2**31 - 1
MAX_ID = 1024


def checked_id(value: Any) -> str:
    """A request's id, which the answer repeats."""
    if not isinstance(value, str):
        raise InvalidRequest("id must be a string")
    if len(value) > MAX_ID:
        raise InvalidRequest(f"an id of {len(value)} characters; at most {MAX_ID} are taken")
    return value


def check_shared_size(num_bytes: int, memory: SharedMemory) -> int:
    """What the inputs of one request take from shared memory together."""
    if num_bytes > memory.max_read_bytes:
        raise TooLarge(f"more than {memory.max_read_bytes} bytes of shared memory in one request")
    return num_bytes


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
