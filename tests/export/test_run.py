from pathlib import Path

import numpy as np
import pytest

from export.errors import RunError
from export.run import read_run
from tests.export.conftest import CLASSES, NUM_ROWS, calibration_images


def test_a_run_is_read_as_it_was_written(run_folder: Path) -> None:
    run = read_run(run_folder)
    assert (run.name, run.classes) == ("tiny", CLASSES)
    (spec,) = run.inputs
    assert (spec.name, spec.datatype, spec.shape) == ("image", "UINT8", (-1, 8, 8, 1))
    assert [member.folder for member in run.members] == [run_folder / "member-0", run_folder / "member-1"]
    assert {member.macs for member in run.members} == {763520.0}
    assert run.provenance["training_versions"] == {"torch": "0.0.test"}
    np.testing.assert_array_equal(run.rows.inputs["image"], calibration_images(run_folder))
    assert run.rows.labels[:5].tolist() == [0, 1, 2, 3, 4]
    assert run.rows.groups is not None
    assert run.rows.groups.tolist() == [row // 2 for row in range(NUM_ROWS)]


def test_a_run_whose_training_is_unfinished_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="mine: no such run"):
        read_run(tmp_path / "mine")
    (tmp_path / "mine.partial").mkdir()
    for name in ("mine", "mine.partial"):
        with pytest.raises(RunError, match=f"{name}: its training is unfinished: python .* --out .*/mine$"):
            read_run(tmp_path / name)
