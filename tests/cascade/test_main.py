"""The command line: fit, evaluate and refit, and one clear line for bad input."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cascade.__main__ import main
from cascade.policy_file import read_policy_file
from cascade.scores_file import write_scores
from tests.cascade.command_line import error_of, run
from tests.cascade.made_up import outputs


def test_fit_then_evaluate(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy, rows = tmp_path / "policy.json", tmp_path / "rows.npz"
    told = run(capsys, "fit", scores, "--budget", "1.5x", "--out", policy)
    assert told.startswith("window for coverage@risk=0.05 within 1.5x\nchosen     ")
    assert re.search(r"\nvalue      0\.\d{4} \(read off the rows' own curve\)\n", told)
    assert re.search(r"\ncost       1\.\d{3}x stage 1\n", told)
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
    assert "] (read off the rows' own curve)\npromise     an estimate, not certified\ntarget      " in table
    assert f"\ntarget      {figures['objective']['deployed']['verdict']}: deployed risk " in table
    assert re.search(r"MACs a row\); 1\.\d+x of budget 1\.5x\n", table)
    again = ("evaluate", scores, "--policy", policy, "--rows", rows)
    assert f"--rows {rows} is there; --overwrite replaces it" in error_of(capsys, *again)
    run(capsys, *again, "--overwrite")
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
            "--method",
            "paper",
            "--reach",
            reach,
            "--out",
            out,
        )
        costs.append(read_policy_file(out).policy.evidence["cost"])
    assert costs[0] < costs[1]
    asked = ("fit", scores, "--method", "paper", "--reach", "0.999")
    refused = error_of(capsys, *asked, "--out", tmp_path / "no.json")
    assert "scores.npz: coverage@risk=0.05: even the full cascade reaches 0." in refused


def test_a_budget_in_seconds(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second member takes ten times as long as the first, and the third next to nothing."""
    out = tmp_path / "policy.json"
    asked = ("fit", scores, "--kind", "threshold", "--budget", "3ms")
    assert "needs the array seconds" in error_of(capsys, *asked, "--out", out)
    seconds = ("--seconds", "1e-3,1e-2,1e-6")
    told = run(capsys, *asked, *seconds, "--out", out)
    evidence = read_policy_file(out).policy.evidence
    assert evidence["forwarded"][0] == pytest.approx(0.2, abs=0.03)
    multiple = evidence["cost"]
    assert f"\ncost       {multiple:.3f}x stage 1 in seconds, {multiple:.4g}ms\n" in told
    refitted = ("refit", out, "--scores", scores, "--out", tmp_path / "again.json")
    assert "budget 3ms needs the array seconds" in error_of(capsys, *refitted)
    assert re.search(
        r"before, [23]\.\d{3}x stage 1 in seconds, .*ms after \(budget", run(capsys, *refitted, *seconds)
    )


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


def test_a_policy_that_accepts_nothing_is_not_written(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The members are blind: four fifths of their surest rows are wrong."""
    given = outputs(1000)
    blind, out = tmp_path / "blind.npz", tmp_path / "policy.json"
    write_scores(blind, replace(given, labels=np.random.default_rng(0).permutation((given.labels + 1) % 5)))
    said = error_of(
        capsys, "fit", blind, "--kind", "first", "--objective", "coverage@risk=0.0001", "--out", out
    )
    assert (
        "no threshold keeps coverage@risk=0.0001 on the 500 rows that set thresholds: nothing would" in said
    )
    assert not out.exists()


def test_what_makes_figures_doubtful_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scores(tmp_path / "few.npz", outputs(300))
    asked = ["fit", str(tmp_path / "few.npz"), "--kind", "threshold", "--objective", "accuracy"]
    assert main([*asked, "--budget", "9x", "--out", str(tmp_path / "few.json")]) == 0
    notes = capsys.readouterr().err.splitlines()
    assert notes[0].startswith("note: 300 rows are few: intervals are wide")
    assert notes[1] == "note: budget 9x is more than the full cascade costs (6.000x stage 1)"


def test_a_detector_and_a_decision_are_told_in_their_own_words(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector, decision = tmp_path / "detector.json", tmp_path / "decision.json"
    asked = ("fit", scores, "--kind", "threshold")
    told = run(capsys, *asked, "--objective", "fpr@tpr=0.9", "--out", detector)
    assert re.search(r"\nFPR        0\.\d{4} \(read off the rows' own curve\)\n", told)
    told = run(capsys, *asked, "--objective", "decision@class=1,threshold=0.4", "--out", decision)
    assert "\npositive   " in told
    table = run(capsys, "evaluate", scores, "--policy", decision)
    assert "  false positive rate: " in table
    assert not re.search(r"^(risk|coverage|worst class|target) ", f"{told}\n{table}", re.MULTILINE)
    assert main(["evaluate", str(scores), "--policy", str(detector)]) == 0
    captured = capsys.readouterr()
    assert "\nobjective   fpr@tpr=0.9: FPR none (" in captured.out
    assert captured.err.startswith("note: fpr@tpr=0.9 needs OOD rows, and there are only those that the")


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
    fitted = ("fit", scores, "--kind", "threshold", "--objective", "coverage@risk=0.1", "--out", old)
    run(capsys, *fitted, "--budget", "2x", "--certify", "0.2")
    asked = ("refit", old, "--scores", unlabelled, "--out", new)
    told = run(capsys, *asked)
    before, after = (float(text) for text in re.findall(r"([\d.]+)x stage 1", told))
    assert before < 1.7
    assert after == pytest.approx(read_policy_file(old).policy.evidence["cost"], abs=0.1)
    certificate, promise = told.splitlines()[1:]
    assert certificate == "the certificate is dropped: its rows were not these"
    assert promise.startswith("thresholds and confidences were left as they were, so the target is no longer")
    assert read_policy_file(new).policy.evidence["refitted"]["rows"] == 1000
    assert read_policy_file(new).policy.accept_above == read_policy_file(old).policy.accept_above
    assert "--overwrite replaces it" in error_of(capsys, *asked)
    assert "arrays are missing: labels" in error_of(capsys, "evaluate", unlabelled, "--policy", new)
    assert "--as goes with a cascade's file" in error_of(capsys, *asked[:-2], "--as", "x")


def test_stages_name_columns(scores: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    asked = ["fit", str(scores), "--method", "paper", "--stages", "2;0,1", "--budget", "2x"]
    assert main([*asked, "--out", str(policy)]) == 0
    assert json.loads(policy.read_text())["stages"] == [["c"], ["a", "b"]]


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
        (["fit", "{scores}", "--out", "{out}/no/folder"], "--out {out}/no/folder: no such folder"),
        (["fit", "{scores}", "--out", "{folder}"], "--out {folder} is a folder; it takes a file's name"),
        (["evaluate", "{scores}", "--policy", "{out}", "--rows", "{folder}"], "--rows {folder} is a folder"),
        (["fit", "{scores}", "--reach", "0.5", "--certify", "0.1", "--out", "{out}"], "--reach does not go"),
        (
            [
                *("fit", "{scores}", "--objective", "coverage@risk=0.03", "--kind", "first"),
                *("--certify", "0.00001", "--out", "{out}"),
            ],
            "nothing can be certified for coverage@risk=0.03 at delta 1e-05: the 800 rows that set",
        ),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], message: str, scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    paths = {"scores": scores, "out": out, "folder": tmp_path}
    message = message.format(**paths)
    assert main([argument.format(**paths) for argument in arguments]) == 2
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
    asked = ["fit", str(scores), "--method", "paper", "--out", str(out)]
    assert main(asked) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main([*asked, "--overwrite"]) == 0
