"""What can go wrong while starting or answering. Edges translate `fault` into HTTP and gRPC codes.

ServingError
├── StartupError        the server cannot start as asked
└── RequestError        a request cannot be answered; carries a Fault
    ├── InvalidRequest  the client's: malformed, or not what the model takes
    ├── TooLarge        the client's: over a limit
    ├── NotFound        the client's: no such model, version or policy
    ├── Unsupported     the client's: a part of the protocol that is not served
    ├── Unavailable     the server's: stopping, or not yet ready
    ├── Overloaded      the server's: more work is queued than can be done in time; says when to come again
    ├── TimedOut        the server's: the request's deadline passed before there was an answer
    └── MemberFailed    the server's: a member did not give what it should
        ├── RowsRefused the client's: a member says that it takes no such rows
        └── MemberDown  the server's: a member did not answer at all, or not in time
"""

from enum import Enum


class Fault(Enum):
    """Whose fault and of what kind, in no protocol's terms."""

    INVALID = "invalid"
    TOO_LARGE = "too_large"
    NOT_FOUND = "not_found"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    TIMED_OUT = "timed_out"
    INTERNAL = "internal"


class ServingError(Exception):
    """Base of everything this package raises on purpose."""


class StartupError(ServingError):
    """The server cannot start as asked: repository, members, ports."""


MAX_TEXT = 500


class RequestError(ServingError):
    """A request cannot be answered. Its text may quote the client, so it is bounded."""

    fault = Fault.INTERNAL

    def __init__(self, text: str) -> None:
        super().__init__(text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "...")


class InvalidRequest(RequestError):
    """Malformed, or not what the model takes."""

    fault = Fault.INVALID


class TooLarge(RequestError):
    """Over a limit."""

    fault = Fault.TOO_LARGE


class NotFound(RequestError):
    """No such model, version or policy."""

    fault = Fault.NOT_FOUND


class Unsupported(RequestError):
    """A part of the protocol that this server does not offer."""

    fault = Fault.UNSUPPORTED


class Unavailable(RequestError):
    """Stopping, or not yet ready."""

    fault = Fault.UNAVAILABLE


class Overloaded(RequestError):
    """Refused before any work was done for it; `retry_after_s` is when there should be room."""

    fault = Fault.OVERLOADED

    def __init__(self, text: str, retry_after_s: float) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class TimedOut(RequestError):
    """The deadline passed while nothing could be answered yet."""

    fault = Fault.TIMED_OUT


class MemberFailed(RequestError):
    """A member raised, or gave something that is no prediction."""

    fault = Fault.INTERNAL


class RowsRefused(MemberFailed):
    """A member found fault with what the rows hold, such as a number beyond its vocabulary."""

    fault = Fault.INVALID


class MemberDown(MemberFailed):
    """A member cannot be reached, does not know its model, or did not answer in time; whatever the rows."""

    fault = Fault.UNAVAILABLE
