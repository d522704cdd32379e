"""What a benchmark measured, as a file beside the machine that it was measured on."""

import json
import platform
from pathlib import Path
from typing import Any


def write_result(path: Path, **measured: Any) -> None:
    machine = {"processor": platform.machine(), "python": platform.python_version()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, **measured}, indent=2) + "\n")
