"""The log: lines for people, or an object a line for machines."""

import json
import logging
import math
import sys
from datetime import UTC, datetime
from typing import Any

from serving.config import LogConfig

TEXT = "%(asctime)s %(levelname)s %(message)s"
COLOURED = "color_message"
"""uvicorn's own copy of a message, for terminals."""
OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", COLOURED}


class JsonFormatter(logging.Formatter):
    """One object a line: what every record has, and the fields that this one was given (`extra`); and which
    of several processes it comes from."""

    def __init__(self, process: int | None = None) -> None:
        super().__init__()
        self._of_process = {} if process is None else {"process": process}

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._of_process,
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        extra = {name: _finite(value) for name, value in vars(record).items() if name not in OF_EVERY_RECORD}
        return json.dumps(fields | extra | fields, default=str)


def start_logging(config: LogConfig, process: int | None = None) -> None:
    """For every library's lines, uvicorn's too, since all of them end at the root. `process` says which of
    several this is."""
    text = TEXT if process is None else TEXT.replace("%(message)s", f"process {process}: %(message)s")
    formatter = JsonFormatter(process) if config.format == "json" else logging.Formatter(text)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
