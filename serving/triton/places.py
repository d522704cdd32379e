"""Tensors of calls to a Triton on this machine, in system shared memory instead of in the calls.

Each call under way has a place of its own: a region that Triton has mapped, the inputs first and the output
behind them. Places are used again, and made larger by making new ones.

A place is another call's only once Triton has answered. Where it has not, it may still read and write there,
so the place is set aside, and Triton told to forget it after a time in which any call should have ended.
"""

import logging
import mmap
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as schema
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving.errors import MemberDown, StartupError
from serving.triton.failures import words

log = logging.getLogger("exitgate")
FOLDER = Path("/dev/shm")
ALIGNMENT = 64
SMALLEST_BYTES = 2**18
ASIDE_S = 60.0
MOST_ASIDE = 32
"""So many at once; calls then carry their tensors themselves."""
UNREGISTER_S = 1.0
UNWRITTEN = 0xFF
"""Bytes that are NaN as any float: an output that Triton never wrote is no prediction."""


@dataclass(frozen=True, eq=False)
class Place:
    """A region by its name, and this process's view of it."""

    name: str
    memory: NDArray[np.uint8]
    generation: int

    @property
    def num_bytes(self) -> int:
        return len(self.memory)

    def write(self, tensors: Sequence[Any], num_output_bytes: int) -> list[int]:
        """Where the tensors lie now, and last where the output will."""
        offsets, end = [], 0
        for tensor in tensors:
            offsets.append(end)
            self.memory[end : end + len(tensor)] = np.frombuffer(tensor, np.uint8)
            end = _aligned(end + len(tensor))
        self.memory[end : end + num_output_bytes] = UNWRITTEN
        return [*offsets, end]

    def read(self, offset: int, num_bytes: int) -> bytes:
        return self.memory[offset : offset + num_bytes].tobytes()


def size_of(tensors: Sequence[Any], num_output_bytes: int) -> int:
    return sum(_aligned(len(tensor)) for tensor in tensors) + num_output_bytes


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


class Places:
    """All that one Triton knows of this server. Calls come from several threads."""

    def __init__(self, stub: GRPCInferenceServiceStub) -> None:
        self._stub = stub
        self._lock = threading.Lock()
        self._free: list[Place] = []
        self._aside: deque[tuple[float, Place]] = deque()
        self._generation = 0
        self._has_warned = False

    def check(self, timeout_s: float) -> None:
        """StartupError where Triton cannot map this machine's shared memory."""
        try:
            self._free.append(self._made(SMALLEST_BYTES, timeout_s))
        except grpc.RpcError as error:
            raise StartupError(f"Triton cannot use shared memory of this machine: {words(error)}") from None
        except OSError as error:
            raise StartupError(f"{FOLDER}: {error.strerror}") from None

    @contextmanager
    def borrowed(self, num_bytes: int, timeout_s: float) -> Iterator[Place | None]:
        """A place for one call; None where there is none to be had."""
        place = self._take(num_bytes, timeout_s)
        try:
            yield place
        except MemberDown:
            if place is not None:
                self._set_aside(place)
            raise
        except BaseException:
            self._give_back(place)
            raise
        self._give_back(place)

    def forget(self, generation: int) -> None:
        """Triton knows none of them: it has been started again."""
        with self._lock:
            if generation == self._generation:
                self._generation += 1
                self._free.clear()
                self._aside.clear()

    def close(self) -> None:
        """Once no call is under way any more."""
        with self._lock:
            places = [*self._free, *(place for _, place in self._aside)]
            self._free.clear()
            self._aside.clear()
        for place in places:
            self._unregister(place)

    def _take(self, num_bytes: int, timeout_s: float) -> Place | None:
        self._clear_up()
        with self._lock:
            if len(self._aside) >= MOST_ASIDE:
                return None
            place = self._free.pop() if self._free else None
        if place is not None and place.num_bytes >= num_bytes:
            return place
        if place is not None:
            self._unregister(place)
        try:
            return self._made(num_bytes, timeout_s)
        except (OSError, grpc.RpcError, ValueError) as error:  # the last where the channel is closed
            if not self._has_warned:
                self._has_warned = True
                log.warning("calls to Triton go without shared memory at times: %s", type(error).__name__)
            return None

    def _give_back(self, place: Place | None) -> None:
        with self._lock:
            if place is not None and place.generation == self._generation:
                self._free.append(place)

    def _set_aside(self, place: Place) -> None:
        with self._lock:
            if place.generation == self._generation:
                self._aside.append((time.monotonic() + ASIDE_S, place))

    def _clear_up(self) -> None:
        with self._lock:
            over = bool(self._aside) and self._aside[0][0] < time.monotonic()
            place = self._aside.popleft()[1] if over else None
        if place is not None:
            self._unregister(place)

    def _made(self, num_bytes: int, timeout_s: float) -> Place:
        """Its file has a name only until Triton has opened it, so nothing is left of it after both."""
        size = max(SMALLEST_BYTES, 1 << (num_bytes - 1).bit_length())
        name = f"exitgate-{os.getpid()}-{secrets.token_hex(8)}"
        generation = self._generation
        file = FOLDER / name
        fd = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)  # or a full file system would end this process at a write
            memory = np.frombuffer(mmap.mmap(fd, size), np.uint8)
            request = schema.SystemSharedMemoryRegisterRequest(name=name, key=f"/{name}", byte_size=size)
            self._stub.SystemSharedMemoryRegister(request, timeout=timeout_s)
        finally:
            os.close(fd)
            file.unlink()
        return Place(name, memory, generation)

    def _unregister(self, place: Place) -> None:
        """Where that fails, Triton is gone or hangs; its mapping stays until it ends."""
        request = schema.SystemSharedMemoryUnregisterRequest(name=place.name)
        with suppress(grpc.RpcError, ValueError):
            self._stub.SystemSharedMemoryUnregister(request, timeout=UNREGISTER_S)
