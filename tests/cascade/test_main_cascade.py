"""The command line on the policies of a cascade."""

import json

import numpy as np
import pytest

from cascade.__main__ import main
from cascade.cascade_file import read_cascade
from tests.cascade.command_line import error_of, run
from tests.repositories import Repository


def test_refit_within_a_cascade(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    fresh = repository.path / "fresh.npz"
    asked = ("refit", repository.file, "--name", "threshold", "--scores", fresh)
    run(capsys, *asked, "--as", "shifted")
    cascade = read_cascade(repository.file)
    assert (cascade.version, cascade.default_policy) == (2, "window")
    assert cascade.policies["shifted"].evidence["refitted"]["cost"] == pytest.approx(2, abs=0.1)
    assert "policy 'shifted' is there" in error_of(capsys, *asked, "--as", "shifted")
    refused = error_of(capsys, "refit", repository.file, "--name", "full", "--scores", fresh, "--as", "x")
    assert "fresh.npz: a policy of kind 'full' without placements cannot be refitted" in refused


def test_fit_into_a_cascade_makes_its_next_version(repository: Repository) -> None:
    fresh = str(repository.path / "fresh.npz")
    arguments = [
        "fit",
        fresh,
        "--method",
        "paper",
        "--budget",
        "4x",
        "--into",
        str(repository.file),
        "--name",
        "rich",
    ]
    assert main(arguments) == 0
    cascade = read_cascade(repository.file)
    assert (cascade.version, cascade.default_policy, "rich" in cascade.policies) == (2, "window", True)
    assert main(arguments) == 2
    assert main([*arguments, "--default", "--overwrite"]) == 0
    assert read_cascade(repository.file).default_policy == "rich"


def test_policies_of_a_cascade_are_evaluated_by_name(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = str(repository.path / "fresh.npz")
    for name, cost in (("first", 1.0), ("full", 6.0)):
        assert main(["evaluate", fresh, "--policy", str(repository.file), "--name", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["cost"] == cost


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": np.array(["0", "1", "2"])}, "the scores are not those of 'digits''s 'digits-0'"),
        ({"macs": np.array([1.0, 1.0, 1.0])}, "'digits-0' costs 640 MACs, in the scores 1"),
        ({"names": np.array(["a", "b", "c"])}, "no outputs of member 'digits-0'"),
    ],
)
def test_a_cascade_takes_no_policy_fitted_on_other_members(
    change: dict[str, np.ndarray], message: str, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = repository.path / "fresh.npz"
    with np.load(fresh) as archive:
        arrays = dict(archive)
    np.savez(fresh, **(arrays | change))
    before = repository.file.read_bytes()
    assert main(["fit", str(fresh), "--into", str(repository.file), "--name", "x"]) == 2
    assert message in capsys.readouterr().err
    assert repository.file.read_bytes() == before


def test_foreign_members_are_refused(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    fresh = repository.path / "fresh.npz"
    with np.load(fresh) as archive:
        arrays = dict(archive)
    np.savez(fresh, **{**arrays, "sha256": np.array(["0", "1", "2"])})
    assert main(["evaluate", str(fresh), "--policy", str(repository.file)]) == 2
    assert "fitted on another 'digits-0'" in capsys.readouterr().err


def test_gears_are_set_shown_and_taken_away(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("gears", repository.file)
    assert "has no gears: it is served with 'window' whatever the load" in run(capsys, *asked)
    told = run(capsys, *asked, "window", "first")
    assert [line.split(",")[0] for line in told.splitlines()] == ["gear 0: window", "gear 1: first"]
    cascade = read_cascade(repository.file)
    assert (cascade.version, cascade.gears) == (2, ("window", "first"))
    assert "gear 'none' is no policy" in error_of(capsys, *asked, "window", "none")
    assert "--none takes no policies" in error_of(capsys, *asked, "window", "--none")
    run(capsys, *asked, "--none")
    assert read_cascade(repository.file).gears == ()
