"""Tensors that clients leave in the system's shared memory, and want their answers in.

A region is part of a file of /dev/shm, read and written at offsets and never mapped: whoever shortens a
mapped file ends the process that touches it. What no longer lies in the file is the client's mistake.
"""

import os
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serving.errors import InvalidRequest, NotFound, TooLarge, Unsupported

FOLDER = "/dev/shm/"
MAX_REGIONS = 256
"""Each keeps a file open, of which a process usually may have 1024."""
MAX_NAME = 255
PARAMETERS = ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset")


@dataclass(eq=False, slots=True)
class Region:
    """`byte_size` bytes from `offset` of the file that `fd` is open on.

    The lock is for requests that are decoded in a thread: a closed number may soon be another file's.
    """

    name: str
    key: str
    offset: int
    byte_size: int
    fd: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_open: bool = True

    def close(self) -> None:
        with self.lock:
            if self.is_open:
                self.is_open = False
                os.close(self.fd)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one tensor lies: `byte_size` bytes from `offset` of a region."""

    region: Region
    offset: int
    byte_size: int

    def read(self) -> bytes:
        with self.region.lock:
            self._check_open()
            data = os.pread(self.region.fd, self.byte_size, self.region.offset + self.offset)
        if len(data) != self.byte_size:
            raise InvalidRequest(f"shared memory region {self.region.name!r} ends before its tensor does")
        return data

    def check_room(self, output: str, num_bytes: int) -> None:
        """Whether an output fits; all are checked before the first is written."""
        if num_bytes > self.byte_size:
            raise InvalidRequest(
                f"output {output!r} has {num_bytes} bytes, its place in shared memory {self.byte_size}"
            )
        with self.region.lock:
            self._check_open()
            self._check_end(num_bytes)

    def write(self, data: bytes) -> None:
        with self.region.lock:
            self._check_open()
            self._check_end(len(data))
            begin = self.region.offset + self.offset
            try:
                written = os.pwrite(self.region.fd, data, begin)
            except OSError:
                written = -1
        if written != len(data):
            raise InvalidRequest(f"shared memory region {self.region.name!r} cannot be written")

    def _check_end(self, num_bytes: int) -> None:
        """Writing past it would lengthen the file."""
        if os.fstat(self.region.fd).st_size < self.region.offset + self.offset + num_bytes:
            raise InvalidRequest(f"shared memory region {self.region.name!r} ends before its tensor does")

    def _check_open(self) -> None:
        if not self.region.is_open:
            raise InvalidRequest(f"shared memory region {self.region.name!r} was unregistered meanwhile")


class SharedMemory:
    """The regions by name. Belongs to the event loop's thread, but for what placements do.

    `max_read_bytes` bounds what the inputs of one request may hold together, as a body's size is bounded.
    """

    def __init__(self, *, is_allowed: bool, max_read_bytes: int) -> None:
        self.max_read_bytes = max_read_bytes
        self.is_allowed = is_allowed
        self._regions: dict[str, Region] = {}

    def status(self, name: str = "") -> list[dict[str, Any]]:
        """Of one region, or of all."""
        regions = [self._region(name)] if name else self._regions.values()
        return [{"name": r.name, "key": r.key, "offset": r.offset, "byte_size": r.byte_size} for r in regions]

    def register(self, name: str, key: Any, offset: Any, byte_size: Any) -> None:
        self._check_allowed()
        if not 0 < len(name) <= MAX_NAME:
            raise InvalidRequest(f"a shared memory region needs a name of 1 to {MAX_NAME} characters")
        if name in self._regions:
            raise InvalidRequest(f"shared memory region {name!r} is registered already")
        if len(self._regions) >= MAX_REGIONS:
            raise TooLarge(f"{MAX_REGIONS} shared memory regions are registered, which is all there may be")
        offset = _whole(offset, 0, f"shared memory region {name!r}: offset")
        byte_size = _whole(byte_size, 1, f"shared memory region {name!r}: byte_size")
        fd = _open(_file_name(key))
        try:
            _check_file(fd, key, offset + byte_size)
        except InvalidRequest:
            os.close(fd)
            raise
        self._regions[name] = Region(name, key, offset, byte_size, fd)

    def unregister(self, name: str = "") -> None:
        """One region, or all; what is not there need not be, as with Triton."""
        self._check_allowed()
        for known in [name] if name else list(self._regions):
            if (region := self._regions.pop(known, None)) is not None:
                region.close()

    def close(self) -> None:
        for region in self._regions.values():
            region.close()
        self._regions.clear()

    def placement(self, parameters: Mapping[str, Any], what: str) -> Placement | None:
        """Where a tensor's parameters say that it lies; None where they name no shared memory."""
        name, size, offset = (parameters.get(parameter) for parameter in PARAMETERS)
        if name is None:
            if size is None and offset is None:
                return None
            raise InvalidRequest(f"{what}: a place in shared memory, but no shared_memory_region")
        self._check_allowed()
        if not isinstance(name, str):
            raise InvalidRequest(f"{what}: shared_memory_region must be a name")
        region = self._region(name)
        size = _whole(size, 0, f"{what}: shared_memory_byte_size")
        offset = _whole(0 if offset is None else offset, 0, f"{what}: shared_memory_offset")
        if offset + size > region.byte_size:
            raise InvalidRequest(
                f"{what}: bytes {offset} to {offset + size} of shared memory region {name[:80]!r}, "
                f"which has {region.byte_size}"
            )
        return Placement(region, offset, size)

    def _region(self, name: str) -> Region:
        region = self._regions.get(name)
        if region is None:
            raise NotFound(f"unknown shared memory region {name[:80]!r}")
        return region

    def _check_allowed(self) -> None:
        if not self.is_allowed:
            raise Unsupported("shared memory is not offered by this server; --allow-shared-memory allows it")


def write_outputs(outputs: Mapping[str, bytes], placements: Mapping[str, Placement]) -> None:
    """Every output to its place, or an error and nothing written, unless a file changes just then."""
    for name, data in outputs.items():
        placements[name].check_room(name, len(data))
    for name, data in outputs.items():
        placements[name].write(data)


def _whole(value: Any, least: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
        raise InvalidRequest(f"{what} is {str(value)[:40]}; it must be a whole number from {least}")
    return value


def _file_name(key: Any) -> str:
    name = key.removeprefix("/") if isinstance(key, str) else ""
    if not 0 < len(os.fsencode(name)) <= MAX_NAME or "/" in name or "\0" in name or name in (".", ".."):
        raise InvalidRequest(f"shared memory key {str(key)[:80]!r} must be one plain name")
    return name


def _open(name: str) -> int:
    """Without following a link, and without waiting, should it be a pipe."""
    try:
        return os.open(FOLDER + name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise InvalidRequest(f"there is no shared memory with key {name[:80]!r}") from None
    except OSError:
        raise InvalidRequest(f"the shared memory with key {name[:80]!r} cannot be opened") from None


def _check_file(fd: int, key: str, end: int) -> None:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise InvalidRequest(f"key {key[:80]!r} is no shared memory")
    if end > status.st_size:
        raise InvalidRequest(
            f"offset and byte_size end at {end}; the shared memory with key {key[:80]!r} has {status.st_size}"
        )


class CudaSharedMemory:
    """Memory of GPUs, of which this server can register none."""

    def status(self, name: str = "") -> list[dict[str, Any]]:
        if name:
            raise NotFound(f"unknown CUDA shared memory region {name[:80]!r}")
        return []

    def register(self, name: str, key: Any, offset: Any, byte_size: Any) -> None:
        raise Unsupported(f"CUDA shared memory region {name[:80]!r}: CUDA shared memory is not offered here")

    def unregister(self, name: str = "") -> None:
        """None are soon unregistered; clients do so before they begin."""
