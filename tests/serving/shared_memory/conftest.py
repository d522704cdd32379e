"""A file of shared memory."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def file() -> Iterator[Path]:
    """4 KB of shared memory, under a name of its own."""
    path = Path("/dev/shm") / f"exitgate-{uuid.uuid4().hex}"
    path.write_bytes(bytes(4096))
    yield path
    path.unlink(missing_ok=True)
