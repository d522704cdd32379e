"""What happens to tests that need the real Triton, where it is not."""

import os
from pathlib import Path

import pytest

from serving.triton import installation


def require() -> None:
    """Skips the test where Triton is not installed; where it could be, CI fails instead."""
    demand("Triton", installation.obstacle(), installation.FOLDER, installation.TRITON)


def demand(what: str, reason: str | None, folder: Path, needed: Path) -> None:
    """For an environment `folder` of `make test`: skips for a `reason`, and where `needed` is only missing
    skips by hand and fails in CI."""
    if reason:
        pytest.skip(f"no {what} here: {reason}")
    if not needed.exists():
        missing = f"{folder.name} has no {what} for Python {installation.PYTHON}: `make test` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
