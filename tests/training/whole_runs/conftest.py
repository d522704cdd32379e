"""A run, whole and unfinished; nobody changes it."""

import shutil

import pytest

from tests.training.whole_runs.tiny_runs import train


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert train(folder) == 0
    return folder


@pytest.fixture
def unfinished(run, tmp_path):
    """A run of which member 0 is trained and member 1 not begun."""
    partial = tmp_path / "run.partial"
    shutil.copytree(run, partial)
    shutil.rmtree(partial / "member-1")
    return partial
