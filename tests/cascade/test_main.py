"""The command line: fit, evaluate and refit, and one clear line for bad input."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cascade.__main__ import main
from cascade.cascade_file import read_cascade
from cascade.policy_file import read_policy_file
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
def unlabelled(tmp_path: Path) -> Path:
    """Members' outputs on rows on which they are much surer, and no labels."""
    file = tmp_path / "shifted.npz"
    given = outputs(1000, seed=3)
    np.savez(file, logits=given.outputs * 3, names=np.array(given.names), macs=np.array(given.macs))
    return file


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command printed; it must have worked."""
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def error_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of a command that refused its input."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


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


def test_fit_then_evaluate(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy, rows = tmp_path / "policy.json", tmp_path / "rows.npz"
    told = run(capsys, "fit", scores, "--budget", "1.5x", "--out", policy)
    assert told.startswith("window for coverage@risk=0.05 within 1.5x\nchosen     ")
    assert "\ncost       1." in told
    assert "\npromise    an estimate, not certified (500 rows that chose nothing else)" in told
    figures = json.loads(run(capsys, "evaluate", scores, "--policy", policy, "--json", "--rows", rows))
    expected = {"coverage", "risk", "accuracy", "cost", "forwarded", "aurc", "objective"}
    assert expected <= figures.keys()
    assert figures["cost"] == pytest.approx(1.5, abs=0.1)
    assert figures["objective"]["name"] == "coverage@risk"
    with np.load(rows) as written:
        assert set(written.files) == {"label", "score", "confidence", "accepted", "exit_stage"}
        assert written["accepted"].mean() == figures["coverage"]
    table = run(capsys, "evaluate", scores, "--policy", policy)
    assert f"\ncoverage    {figures['coverage']:.1%} [" in table
    assert f"\nobjective   coverage@risk=0.05: {figures['objective']['value']:.4f} [" in table
    assert "\nexits       stage 1:" in table


def test_the_paper_can_be_asked_for_and_a_risk_certified(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "policy.json"
    asked = ("fit", scores, "--method", "paper", "--objective", "coverage@risk=0.1")
    told = run(capsys, *asked, "--certify", "0.2", "--choosing-share", "0.3", "--out", out)
    assert "promise    certified: the target is missed with probability 0.2 at most (700 rows" in told
    assert "\nchosen     the paper's rule, as asked\n" in told
    policy = read_policy_file(out).policy
    assert policy.evidence["delta"] == 0.2
    assert "chosen" not in policy.evidence
    assert all(placement.below == pytest.approx(0.5) for placement in policy.placements)


def test_the_cheapest_that_reaches_a_value(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = []
    for reach in ("0.7", "0.8"):
        out = tmp_path / f"{reach}.json"
        run(
            capsys,
            "fit",
            scores,
            "--stages",
            "0;1",
            "--objective",
            "accuracy",
            "--reach",
            reach,
            "--out",
            out,
        )
        costs.append(read_policy_file(out).policy.evidence["cost"])
    assert costs[0] < costs[1]
    refused = error_of(capsys, "fit", scores, "--reach", "0.999", "--out", tmp_path / "no.json")
    assert "scores.npz: coverage@risk=0.05: even the full cascade reaches 0." in refused


def test_a_budget_in_seconds(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second member takes ten times as long as the first, and the third next to nothing."""
    out = tmp_path / "policy.json"
    asked = ("fit", scores, "--kind", "threshold", "--budget", "3ms")
    assert "needs the array seconds" in error_of(capsys, *asked, "--out", out)
    run(capsys, *asked, "--seconds", "1e-3,1e-2,1e-6", "--out", out)
    evidence = read_policy_file(out).policy.evidence
    assert evidence["forwarded"][0] == pytest.approx(0.2, abs=0.03)


def test_a_cascade_no_better_than_its_first_stage_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = outputs(1000, noise=(0.3, 8.0, 8.0))
    write_scores(tmp_path / "weak.npz", given)
    asked = ["fit", str(tmp_path / "weak.npz"), "--objective", "accuracy", "--kind", "full"]
    assert main([*asked, "--out", str(tmp_path / "full.json")]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith(
        "note: on the rows that set its thresholds the policy reaches accuracy of 0."
    )
    assert captured.err.count("\n") == 1
    write_scores(tmp_path / "even.npz", outputs(1000))
    asked[1] = str(tmp_path / "even.npz")
    assert main([*asked, "--out", str(tmp_path / "even.json")]) == 0
    assert capsys.readouterr().err == ""


def test_families_are_fitted_on_or_judged_on(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "policy.json"
    asked = ("fit", scores, "--method", "paper", "--ood-families", "near", "--out", out)
    assert "uses no OOD rows" in error_of(capsys, *asked)
    run(capsys, *asked, "--objective", "fpr@tpr=0.9", "--score", "energy")
    judged = json.loads(run(capsys, "evaluate", scores, "--policy", out, "--json"))
    assert list(judged["ood"]["families"]) == ["far"]
    assert judged["ood"]["rows"] == 200
    refused = error_of(capsys, "evaluate", scores, "--policy", out, "--ood-families", "near")
    assert "scores.npz: the policy was fitted on OOD family near" in refused
    assert "\n  far       accepted" in run(capsys, "evaluate", scores, "--policy", out)


def test_priors_weigh_the_rows(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, priors = tmp_path / "policy.json", tmp_path / "priors.json"
    run(capsys, "fit", scores, "--kind", "first", "--out", out)
    figures = []
    for text in ("[0.5, 0.5, 0, 0, 0]", '{"0": 0.5, "1": 0.5}', None):
        if text:
            priors.write_text(text)
        asked = priors if text else "0=0.5,1=0.5"
        figures.append(
            json.loads(run(capsys, "evaluate", scores, "--policy", out, "--json", "--priors", asked))
        )
    assert figures[0] == figures[1] == figures[2]
    assert 350 < figures[0]["effective_rows"] < 450
    table = run(capsys, "evaluate", scores, "--policy", out, "--priors", priors)
    assert f"rows        1000 (tell as much as {figures[0]['effective_rows']:.0f} do)" in table


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ("0=0.5", "they sum to 0.5, not to 1"),
        ("0=1.5,1=-0.5", "that of class 1 is -0.5"),
        ("0=0.5,9=0.5", "'9' is no class; there are 0 to 4"),
        ("0=half", "are not of the form class=share,..."),
        ("gone.json", "gone.json: no such file"),
        ("0=nan,1=1", "that of class 0 is nan"),
    ],
)
def test_bad_priors_are_refused(
    priors: str, message: str, scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "policy.json"
    run(capsys, "fit", scores, "--kind", "first", "--out", out)
    assert message in error_of(capsys, "evaluate", scores, "--policy", out, "--priors", priors)


def test_a_list_of_priors_has_one_for_each_class(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, priors = tmp_path / "policy.json", tmp_path / "priors.json"
    run(capsys, "fit", scores, "--kind", "first", "--out", out)
    priors.write_text("[0.5, 0.5]")
    refused = error_of(capsys, "evaluate", scores, "--policy", out, "--priors", priors)
    assert "priors.json: 2 priors, and there are 5 classes" in refused


def test_failed_members_are_named(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, rows = tmp_path / "policy.json", tmp_path / "rows.npz"
    run(capsys, "fit", scores, "--kind", "full", "--out", out)
    asked = ("evaluate", scores, "--policy", out, "--failed", "b,c", "--rows", rows)
    assert "\nreasons     member_failed: 100.0%" in run(capsys, *asked)
    with np.load(rows) as written:
        assert set(written["exit_stage"]) == {1}
    assert "no stage has a member 'x'" in error_of(
        capsys, "evaluate", scores, "--policy", out, "--failed", "x"
    )


def test_refit_of_a_policy(
    scores: Path, unlabelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    run(capsys, "fit", scores, "--method", "paper", "--budget", "2x", "--certify", "0.2", "--out", old)
    asked = ("refit", old, "--scores", unlabelled, "--out", new)
    told = run(capsys, *asked)
    before, after = (float(part.split("x")[0]) for part in (told.split(": ")[1], told.split(", ")[1]))
    assert before < 1.7
    assert after == pytest.approx(read_policy_file(old).policy.evidence["cost"], abs=0.1)
    assert told.endswith("(budget 2x)\nthe certificate is dropped: its rows were not these\n")
    assert read_policy_file(new).policy.evidence["refitted"]["rows"] == 1000
    assert read_policy_file(new).policy.accept_above == read_policy_file(old).policy.accept_above
    assert "--overwrite replaces it" in error_of(capsys, *asked)
    assert "arrays are missing: labels" in error_of(capsys, "evaluate", unlabelled, "--policy", new)
    assert "--as goes with a cascade's file" in error_of(capsys, *asked[:-2], "--as", "x")


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


def test_stages_name_columns(scores: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    assert main(["fit", str(scores), "--stages", "2;0,1", "--budget", "2x", "--out", str(policy)]) == 0
    assert json.loads(policy.read_text())["stages"] == [["c"], ["a", "b"]]


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
    ("arguments", "message"),
    [
        (["fit", "{scores}", "--objective", "luck", "--out", "{out}"], "unknown objective 'luck'"),
        (["fit", "{scores}", "--budget", "0.5x", "--out", "{out}"], "below the cost of stage 1"),
        (["fit", "{scores}", "--stages", "0;7", "--out", "{out}"], "there are members 0 to 2"),
        (["fit", "{scores}", "--stages", "0;0", "--out", "{out}"], "a member stands twice"),
        (["fit", "{scores}.gone", "--out", "{out}"], "no such file"),
        (["fit", "{scores}", "--into", "{out}"], "--into needs --name"),
        (["fit", "{scores}", "--into", "{out}", "--name", "x"], "no such file"),
        (["evaluate", "{scores}", "--policy", "{out}"], "no such file"),
        (["fit", "{scores}", "--out", "{out}", "--budge", "1.2x"], "unrecognized arguments: --budge 1.2x"),
        (["fit", "{scores}"], "one of the arguments --out --into is required"),
        (["fit", "{scores}", "--budget", "2x", "--reach", "1", "--out", "{out}"], "not allowed with"),
        (["fit", "{scores}", "--seconds", "1,2", "--out", "{out}"], "scores.npz: seconds has 2 entries"),
        (["fit", "{scores}", "--seconds", "1,2,x", "--out", "{out}"], "is not of the form"),
        (["fit", "{scores}", "--certify", "2", "--out", "{out}"], "delta"),
        (["fit", "{scores}", "--choosing-share", "1", "--out", "{out}"], "choosing_share"),
        (["refit", "{out}", "--scores", "{scores}", "--out", "{out}"], "no such file"),
        (["tune"], "invalid choice: 'tune'"),
        ([], "the following arguments are required: COMMAND"),
        (["fit", "{scores}", "--out", "{out}/no/folder"], "no such folder"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], message: str, scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert main([argument.format(scores=scores, out=out) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not out.exists()


def test_nothing_is_replaced_unasked(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "policy.json"
    out.write_text("mine")
    assert main(["fit", str(scores), "--out", str(out)]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["fit", str(scores), "--out", str(out), "--overwrite"]) == 0


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
