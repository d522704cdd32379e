"""What the tests of the command line share: files to work on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cascade.scores_file import write_scores
from tests.cascade.made_up import outputs
from tests.repositories import Repository, make_repository


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    file = tmp_path / "scores.npz"
    given = outputs(1000, num_ood=400)
    write_scores(file, replace(given, ood_families=("near", "far") * 200))
    return file


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = make_repository(tmp_path)
    given = made.scores
    np.savez(
        tmp_path / "fresh.npz",
        logits=given.outputs,
        labels=given.labels,
        names=np.array(given.names),
        macs=np.array(given.macs),
        sha256=np.array(given.sha256),
    )
    return made


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    """Members' outputs on rows on which they are much surer, and no labels."""
    file = tmp_path / "shifted.npz"
    given = outputs(1000, seed=3)
    np.savez(file, logits=given.outputs * 3, names=np.array(given.names), macs=np.array(given.macs))
    return file
