from collections.abc import Iterator

import pytest

from tests.repositories import Repository, make_repository
from tests.servers import Server, serving


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Three stages of one member each."""
    return make_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def wide_repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Two stages: one member, then two side by side."""
    return make_repository(tmp_path_factory.mktemp("wide"), name="wide", stages=((0,), (1, 2)))


@pytest.fixture(scope="session")
def broad_repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Two stages of two members each."""
    return make_repository(tmp_path_factory.mktemp("broad"), name="broad", stages=((0, 1), (2, 3)))


@pytest.fixture(scope="session")
def server(repository: Repository) -> Iterator[Server]:
    with serving(repository.path) as running:
        yield running
