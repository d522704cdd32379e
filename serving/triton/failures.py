"""What Triton's refusals mean here. Its own words, which may hold paths and addresses, go to the log only."""

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from serving.errors import MemberDown, MemberFailed

log = logging.getLogger("exitgate")
LOG_EVERY_S = 1.0
MAX_WORDS = 500

ABOUT_ROWS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT)
"""These may have to do with the rows; no other status has."""

DOWN = {
    grpc.StatusCode.UNAVAILABLE: "is not available",
    grpc.StatusCode.DEADLINE_EXCEEDED: "did not answer in time",
    grpc.StatusCode.NOT_FOUND: "is not loaded",
}


class RegionUnknown(MemberDown):
    """Triton has not got the shared memory that a call named: it was started again since. It did nothing."""


class Failures:
    """One member's. Says in the log what happened, at most once a second."""

    def __init__(self, name: str, key: str) -> None:
        self._name = name
        self._key = key
        self._lock = threading.Lock()
        self._logged_s = -math.inf
        self._unsaid = 0

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Around a call: MemberDown or MemberFailed for whatever gRPC raises."""
        try:
            yield
        except grpc.RpcError as error:
            status = error.code()
            if status is grpc.StatusCode.NOT_FOUND and "shared memory region" in words(error):
                raise RegionUnknown(f"member {self._name!r}: Triton has other shared memory") from None
            self._tell(f"{status.name}: {words(error)}")
            if status in ABOUT_ROWS:
                raise self.failed() from None
            raise self.down(DOWN.get(status, "did not answer")) from None
        except ValueError as error:  # the channel is closed
            self._tell(str(error))
            raise self.down("is not available") from None

    def late(self) -> MemberDown:
        return self.down("did not answer in time")

    def down(self, text: str) -> MemberDown:
        return MemberDown(f"member {self._name!r} {text}")

    def failed(self) -> MemberFailed:
        return MemberFailed(f"member {self._name!r} failed; the server's log says why")

    def wrong(self, text: str) -> MemberFailed:
        """For an answer that cannot be what was asked for."""
        return MemberFailed(f"member {self._name!r} gave {text}")

    def _tell(self, text: str) -> None:
        now_s = time.monotonic()
        with self._lock:
            if now_s - self._logged_s < LOG_EVERY_S:
                self._unsaid += 1
                return
            self._logged_s, unsaid, self._unsaid = now_s, self._unsaid, 0
        since = f" ({unsaid} more since it was last said)" if unsaid else ""
        log.error("member %s in Triton: %s%s", self._key, text, since)


def words(error: grpc.RpcError) -> str:
    """What Triton, or gRPC, said; on one line."""
    details: str = error.details() or ""
    return " ".join(details.split())[:MAX_WORDS]
