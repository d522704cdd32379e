from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.repositories import Repository
from tests.servers import serving


@pytest.fixture(scope="session")
def samples_file(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `python -m training` writes its splits."""
    path = tmp_path_factory.mktemp("samples") / "test.npz"
    np.savez(path, image=repository.test.image, labels=repository.test.labels)
    return path


@pytest.fixture(scope="module")
def offering(repository: Repository, samples_file: Path) -> Iterator[str]:
    """The address of a server that offers samples."""
    with serving(repository.path, "--console-samples", str(samples_file)) as running:
        yield f"http://{running.http}"
