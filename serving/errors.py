"""What can go wrong while starting or answering. Edges translate `fault` into HTTP and gRPC codes.

ServingError
├── StartupError        the server cannot start as asked
└── RequestError        a request cannot be answered; carries a Fault
    ├── InvalidRequest  the client's: malformed, or not what the model takes
    ├── TooLarge        the client's: over a limit
    ├── NotFound        the client's: no such model, version or policy
    ├── Unsupported     the client's: a part of the protocol that is not served
    ├── Unavailable     the server's: stopping, or not yet ready
    └── MemberFailed    the server's: a member did not give what it should
"""

from enum import Enum


class Fault(Enum):
    """Whose fault and of what kind, in no protocol's terms."""

    INVALID = "invalid"
    TOO_LARGE = "too_large"
    NOT_FOUND = "not_found"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
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


class MemberFailed(RequestError):
    """A member raised, or gave something that is no prediction."""

    fault = Fault.INTERNAL
