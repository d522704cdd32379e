"""What the page says, and that it needs nothing from anywhere else."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from cascade.__main__ import main
from cascade.errors import FitError, FormatError
from cascade.fitting.fit import FitSettings, fit
from cascade.policy import Policy
from cascade.policy_file import PolicyFile, write_policy_file
from cascade.report import frontier, resampling
from cascade.report.folder import check_out, write_folder
from cascade.report.headline import against_paper, caveats, lead
from cascade.report.page import page
from cascade.report.pictures import draw_pictures
from cascade.report.plot_curves import draw_risk_coverage
from cascade.report.plot_scores import draw_scores, shown_of
from cascade.report.policies import Named
from cascade.report.results import Question, Results, results_of
from cascade.report.tables import candidates_of
from cascade.scores_file import write_scores
from cascade.window import Window
from tests.cascade.made_up import STAGES
from tests.cascade.report.rows import rows


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier, "NUM_BUDGETS", 2)
    monkeypatch.setattr(frontier, "RULES", ("threshold", "paper"))
    monkeypatch.setattr(resampling, "RESAMPLES", 20)


WINDOWS = (Window(0.5, 0.75), Window(-np.inf, 0.6))


def of(objective: str, **parts: object) -> Results:
    """With a policy that is given, so that nothing needs long to be fitted."""
    asked = FitSettings(objective=objective, budget="2x")
    score = asked_score(objective)
    chosen = {"kind": "window", "windows": WINDOWS, "score": score, "objective": objective, **parts}
    policy = Policy(num_stages=3, **chosen)  # type: ignore[arg-type]
    given = (Named("mine & <b>", policy),)
    return results_of(
        Question(
            source="rows.npz", scores=rows(), test=rows(300, seed=5), stages=STAGES, asked=asked, given=given
        )
    )


def asked_score(objective: str) -> str:
    return "class=1" if objective.startswith("decision") else "msp"


class Sources(HTMLParser):
    """Collects whatever a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]


@pytest.mark.parametrize(
    ("objective", "drawn"),
    [
        ("coverage@risk=0.1", ["risk-coverage", "frontier", "scores", "reliability"]),
        ("risk@coverage=0.8,ood=0.2", ["risk-coverage", "frontier", "scores", "reliability"]),
        ("fpr@tpr=0.9", ["detection", "frontier", "scores", "reliability"]),
        ("decision@class=1,threshold=0.4,fp=1,fn=5", ["frontier", "scores", "reliability"]),
    ],
)
def test_the_page_holds_its_pictures_and_needs_nothing_else(objective: str, drawn: list[str]) -> None:
    results = of(objective)
    pictures = draw_pictures(results)
    assert [p.file for p in pictures if p.image is not None] == [f"{name}.png" for name in drawn]
    assert all("Left out" in p.caption for p in pictures if p.image is None)
    text = page(results, pictures)
    found = Sources()
    found.feed(text)
    assert len(found.sources) == len(drawn)
    assert all(source.startswith("data:image/png;base64,") for source in found.sources)
    assert "http" not in text
    assert not re.search(r"@import|url\(|<script|<link", text)
    assert "‘mine &amp; &lt;b&gt;’" in text
    assert "<b>’" not in text


def test_the_table_shows_the_figures() -> None:
    results = of("coverage@risk=0.1")
    text = page(results, [])
    estimate = results.main.estimates["accuracy"]
    ends = f"{estimate.low * 100:.1f} to {estimate.high * 100:.1f}"
    cell = f'{estimate.value * 100:.1f}%<span class="interval">{ends}</span>'
    assert f"<td>{cell}</td>" in text
    assert lead(results).startswith("Asked for coverage at 10% risk, the policy ‘mine & <b>’ comes to ")
    assert against_paper(results) is None


def test_what_policies_from_files_have_seen_is_said() -> None:
    evidence = {"ood_families": ["noise", "more-noise"]}
    fresh = of("fpr@tpr=0.9", evidence=evidence)
    seen = results_of(replace(fresh.question, test=None))
    assert [("for want of others" in text) for text in caveats(fresh)] == [True]
    assert len(caveats(seen)) == 2
    for results, is_fresh in ((fresh, True), (seen, False)):
        text = page(results, draw_pictures(results))
        names = ", ".join(results.parts.judge.families)
        assert f"families that policies from files were fitted on ({names}), for want of others" in text
        assert ("set on rows other than these" in text) == is_fresh
        assert "which fitting never saw" not in text


def test_a_certified_policy_is_headed_by_what_it_accepts() -> None:
    accepts = {"accept_above": (0.8, 0.7, 0.7)}
    plain, certified = (
        of("coverage@risk=0.1", evidence=evidence, **accepts)
        for evidence in ({}, {"certified": True, "delta": 0.1})
    )
    assert lead(plain).endswith("Its target is an estimate, not certified.")
    estimates = certified.main.estimates
    coverage, risk = f"{estimates['coverage'].value:.1%}", f"{estimates['risk'].value:.1%}"
    said = f"It is certified (delta 0.1): deployed, it has coverage {coverage} and risk {risk} on these rows."
    assert lead(certified).endswith(said)


def test_windows_and_final_thresholds_are_drawn_where_they_are() -> None:
    results = of("coverage@risk=0.1", accept_above=(0.8, 0.7, -np.inf))
    figure = draw_scores(results)
    assert figure is not None
    first, second, third = figure.axes
    (span,) = [p for p in first.patches if p.get_label() == "forwarded"]
    assert isinstance(span, Rectangle)
    assert (span.get_x(), span.get_x() + span.get_width()) == pytest.approx((0.5, 0.75))
    lines = [[round(float(line.get_xdata()[0]), 6) for line in axes.lines] for axes in figure.axes]  # type: ignore[index]
    assert lines == [[0.5, 0.75, 0.8], [0.6, 0.7], []]
    assert "all rows accepted" in third.get_xlabel()
    reaching = results.main.judged.inside.reached(1).sum()
    assert second.get_title(loc="left") == "mine & <b>, stage 2"
    assert second.get_xlabel().startswith(f"score (msp)\n{reaching} rows, ")


def test_bars_count_the_rows_that_reach_a_stage_right_and_wrong() -> None:
    results = of("coverage@risk=0.1")
    judged = results.main.judged
    for stage, shown in enumerate(shown_of(judged, results)):
        assert len(shown.score) == judged.inside.reached(stage).sum()
        left = judged.depth[judged.inside.reached(stage)] == stage
        right = judged.correct[judged.inside.reached(stage)]
        assert (shown.is_right[left] == right[left]).all()
        assert judged.outside is not None
        assert len(shown.strange) == judged.outside.reached(stage).sum()


def test_the_operating_point_and_the_target_are_marked() -> None:
    results = of("coverage@risk=0.1")
    figure = draw_risk_coverage(results)
    assert figure is not None
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    assert list(lines["target: 10% risk"].get_ydata()) == [0.1, 0.1]
    points = [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))  # type: ignore[index]
        for line in figure.axes[0].lines
        if len(np.atleast_1d(line.get_xdata())) == 1
    ]
    wanted = [(f.estimates["coverage"].value, f.estimates["risk"].value) for f in results.figures]
    assert points == [pytest.approx(point) for point in wanted]


def test_evidence_of_a_file_may_hold_anything() -> None:
    evidence = {"gain_over_paper": {"a": [0.1, 0.2], "b": "x", "c": [1], "d": [None, 1]}, "chosen": "a"}
    assert candidates_of(evidence) == {"a": (0.1, 0.2)}
    assert candidates_of({"gain_over_paper": 3}) == {}


def test_the_choice_is_told_with_its_errors() -> None:
    evidence = {"chosen": "joint", "gain_over_paper": {"joint": [0.02, 0.005], "none": [-0.1, 0.01]}}
    text = page(of("coverage@risk=0.1", evidence=evidence), [])
    assert "<b>joint</b></td><td>+2.00</td><td>0.50</td><td>✓ chosen</td>" in text
    assert "none</td><td>-10.00</td>" in text


def test_a_policy_of_another_score_cannot_answer_for_a_decision() -> None:
    with pytest.raises(FitError, match=r"acts on msp, and decision@class=1,threshold=0\.4 needs class=1"):
        of("decision@class=1,threshold=0.4", score="msp")


def test_the_command_writes_a_report_and_replaces_only_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores, policy, out = tmp_path / "rows.npz", tmp_path / "mine.json", tmp_path / "reports" / "one"
    write_scores(scores, rows())
    fitted = fit(rows(), STAGES, FitSettings(kind="threshold", objective="accuracy"))
    write_policy_file(policy, PolicyFile(STAGES, fitted))
    command = ["report", str(scores), "--policy", str(policy), "--out", str(out)]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("Asked for accuracy, the policy ‘mine’ comes to ")
    names = ["frontier.png", "reliability.png", "report.html", "risk-coverage.png", "scores.png"]
    assert sorted(file.name for file in out.iterdir()) == names
    assert [file.name for file in out.parent.iterdir()] == ["one"]
    assert main(command) == 2
    assert capsys.readouterr().err == f"error: --out {out} is there; --overwrite replaces it\n"
    (out / "notes.txt").touch()
    assert main([*command, "--overwrite"]) == 2
    assert "is not a report" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--policy", "{bad}"], "{bad}: not JSON"),
        (["--policy", "{here}/none.json"], "none.json: no such file"),
        (["--policy", "{bad}:name"], "a name goes with a cascade's file alone"),
        (["--stages", "0"], "a report needs a cascade of two stages or more"),
        (["--objective", "beauty"], "unknown objective 'beauty'"),
        (["--out", "{bad}/out"], "bad.json is no folder"),
        (["--budget", "0.5x"], "below the cost of stage 1"),
        (["--objective", "fpr@tpr=0.9", "--test", "{plain}"], "needs out-of-distribution rows"),
        (["--test", "{other}"], "names is ('a', 'b'), and in the scores ('a', 'b', 'c')"),
    ],
)
def test_bad_input_gives_one_line_and_leaves_nothing(
    more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {"bad": tmp_path / "bad.json", "plain": tmp_path / "plain.npz", "other": tmp_path / "other.npz"}
    named = {"here": tmp_path, **paths}
    paths["bad"].write_text("{")
    plain = rows(num_ood=0)
    write_scores(tmp_path / "rows.npz", rows())
    write_scores(paths["plain"], plain)
    write_scores(paths["other"], replace(plain, outputs=plain.outputs[:2], names=("a", "b"), macs=(1.0, 2.0)))
    before = sorted(tmp_path.iterdir())
    command = ["report", str(tmp_path / "rows.npz"), "--out", str(tmp_path / "out")]
    assert main([*command, *(word.format(**named) for word in more)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    assert said.format(**named) in error
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_cannot_be_finished_is_not_begun(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(TypeError):
        write_folder(out, {"report.html": b"", "a.png": None}, overwrite=False)  # type: ignore[dict-item]
    assert list(tmp_path.iterdir()) == []


def test_an_old_report_makes_way_for_the_new_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_folder(out, {"report.html": b"old", "gone.png": b""}, overwrite=False)
    with pytest.raises(FormatError, match="is there"):
        check_out(out, overwrite=False)
    write_folder(out, {"report.html": b"new"}, overwrite=True)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == {"report.html": b"new"}
    assert list(tmp_path.iterdir()) == [out]
