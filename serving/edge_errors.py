"""What both edges say of an error, beyond its text."""

import math

from serving.errors import Fault, Overloaded

STATUS = {
    Fault.INVALID: 400,
    Fault.TOO_LARGE: 413,
    Fault.NOT_FOUND: 404,
    Fault.UNSUPPORTED: 501,
    Fault.UNAVAILABLE: 503,
    Fault.OVERLOADED: 503,
    Fault.TIMED_OUT: 503,
    Fault.INTERNAL: 500,
}
"""HTTP's."""


def retry_after_s(error: Exception) -> int | None:
    """When to come again, in whole seconds and never at once; None where the error says nothing of it."""
    return max(1, math.ceil(error.retry_after_s)) if isinstance(error, Overloaded) else None


def internal_error(error: Exception) -> str:
    """Of a bug, no more than its kind: its text may tell of the server what is nobody's business."""
    return f"internal error: {type(error).__name__}"
