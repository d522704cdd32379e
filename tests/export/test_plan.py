from pathlib import Path

import pytest

from export.errors import SettingsError
from export.plan import make_plan, parse_stages
from export.repository import Repository
from export.settings import ExportSettings

MEMBERS = ("m-0", "m-1", "m-2")


def test_without_stages_every_member_is_one() -> None:
    assert parse_stages(None, MEMBERS) == (("m-0",), ("m-1",), ("m-2",))


def test_stages_take_members_by_number_in_any_order() -> None:
    assert parse_stages("2;1, 0", MEMBERS) == (("m-2",), ("m-1", "m-0"))


@pytest.mark.parametrize(
    "text", ["", "0;1", "0;1;3", "0;1;1", "0;1;2;2", "0;one;2", "0;;1;2", "0;1;-2", "0;1;02"]
)
def test_stages_hold_every_member_once(text: str) -> None:
    with pytest.raises(SettingsError, match=r"must hold each of the members 0\.\.2 once"):
        parse_stages(text, MEMBERS)


def test_a_first_export_is_version_1_and_a_later_one_counts_on(
    run_folder: Path, published: Path, tmp_path: Path
) -> None:
    settings = ExportSettings(name="digits")
    first = make_plan(run_folder, Repository(tmp_path / "models"), settings)
    assert (first.cascade_version, first.previous, first.members) == (1, None, ("digits-0", "digits-1"))
    assert make_plan(run_folder, Repository(published), settings).cascade_version == 2


def test_a_budget_is_of_the_first_stage_that_was_asked_for(run_folder: Path, tmp_path: Path) -> None:
    """Both members in one stage cost more than one of them."""
    settings = ExportSettings(name="digits", stages="0,1", budget="1e6macs")
    with pytest.raises(Exception, match="below the cost of stage 1"):
        make_plan(run_folder, Repository(tmp_path / "models"), settings)
