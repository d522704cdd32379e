from pathlib import Path

import pytest

from export.errors import SettingsError
from export.plan import make_plan
from export.repository import Repository
from export.run import read_run
from export.settings import ExportSettings


def test_every_member_must_stand_in_a_stage(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="stages '1' must hold each of the members 0 to 1"):
        make_plan(
            read_run(run_folder), Repository(tmp_path / "models"), ExportSettings(name="digits", stages="1")
        )


def test_a_first_export_is_version_1_and_a_later_one_counts_on(
    run_folder: Path, published: Path, tmp_path: Path
) -> None:
    settings = ExportSettings(name="digits")
    first = make_plan(read_run(run_folder), Repository(tmp_path / "models"), settings)
    assert (first.cascade_version, first.previous) == (1, None)
    assert [member.name for member in first.members] == ["digits-0", "digits-1"]
    assert make_plan(read_run(run_folder), Repository(published), settings).cascade_version == 2


def test_a_budget_is_of_the_first_stage_that_was_asked_for(run_folder: Path, tmp_path: Path) -> None:
    """Both members in one stage cost more than one of them."""
    settings = ExportSettings(name="digits", stages="0,1", budget="1e6macs")
    with pytest.raises(Exception, match="below the cost of stage 1"):
        make_plan(read_run(run_folder), Repository(tmp_path / "models"), settings)
