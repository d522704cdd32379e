import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.repositories import Repository


@pytest.fixture
def repository(repository: Repository, tmp_path: Path) -> Repository:
    """A copy of everybody's, to be changed."""
    path = tmp_path / "repository"
    shutil.copytree(repository.path, path)
    return replace(repository, path=path)


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, "exitgate"):
        yield
