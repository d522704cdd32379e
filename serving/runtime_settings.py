"""Settings that clients may read, and some of them set, while the server runs: tracing and the log."""

import logging
from collections.abc import Mapping
from typing import Any

from serving.errors import InvalidRequest, Unsupported

LEVELS = {"log_info": logging.INFO, "log_warning": logging.WARNING, "log_error": logging.ERROR}
VERBOSE = "log_verbose_level"
MAX_VERBOSE = 2**32 - 1
NOTHING = logging.CRITICAL + 1

TRACE_SETTINGS: dict[str, list[str]] = {"trace_level": ["OFF"]}
"""The protocol's tracing there is not, so this is all there is to say."""


def update_trace_settings(wanted: Mapping[str, Any]) -> dict[str, list[str]]:
    """Off, or its default, which is off; anything else is refused by name."""
    for name, value in wanted.items():
        if name != "trace_level" or value not in (None, "OFF", ["OFF"], []):
            raise Unsupported(f"trace setting {name[:80]!r}: tracing is not supported by this server")
    return TRACE_SETTINGS


class LogSettings(logging.Filter):
    """Which lines a logger lets through. A level by itself could not say `warnings, but no errors`."""

    def __init__(self, logger: logging.Logger, *, is_allowed: bool) -> None:
        super().__init__()
        self._is_allowed = is_allowed
        self._logger = logger
        self._is_on = dict.fromkeys(LEVELS, True)
        self._verbose = 0
        logger.addFilter(self)

    def current(self) -> dict[str, bool | int]:
        return {**self._is_on, VERBOSE: self._verbose}

    def update(self, wanted: Mapping[str, Any]) -> dict[str, bool | int]:
        """All of the wanted settings, or an error and none of them. A client that may not must not hush the
        log, either."""
        if wanted and not self._is_allowed:
            raise Unsupported("this server's log settings are fixed; --allow-model-control frees them")
        for name, value in wanted.items():
            _check(name, value)
        self._is_on |= {name: value for name, value in wanted.items() if name in LEVELS}
        self._verbose = wanted.get(VERBOSE, self._verbose)
        self._logger.setLevel(self._level())
        return self.current()

    def _level(self) -> int:
        if self._verbose:
            return logging.DEBUG
        return min((LEVELS[name] for name, is_on in self._is_on.items() if is_on), default=NOTHING)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.INFO:
            return self._verbose > 0
        kinds = [name for name, level in LEVELS.items() if level <= record.levelno]
        return self._is_on[kinds[-1]]

    def close(self) -> None:
        self._logger.removeFilter(self)


def _check(name: str, value: Any) -> None:
    if name in LEVELS:
        if not isinstance(value, bool):
            raise InvalidRequest(f"log setting {name!r} must be true or false")
    elif name == VERBOSE:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_VERBOSE:
            raise InvalidRequest(f"log setting {name!r} must be a whole number from 0")
    else:
        raise Unsupported(f"log setting {name[:80]!r} is not supported by this server")
