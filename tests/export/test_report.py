import re
from collections.abc import Callable
from pathlib import Path

import pytest

from export.cli import main
from tests.export.foreign_models import table, tabular_classifier

POLICY = r"^  (\w+) +cost (\S+)x  coverage 100\.0% \[.*\]  risk \S+% \[.*\](.*)$"


def test_the_report_tells_content_checks_and_policies(
    repository: Path, run_export: Callable[..., int], run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_export(run_folder, "--objective", "accuracy") == 0
    output = capsys.readouterr().out
    assert f"{repository} holds digits, version 2:\n" in output
    for index in (0, 1):
        assert f"  digits-{index}/config.pbtxt\n" in output
        assert re.search(rf"digits-{index}/1/model.onnx .* 0\.00% of predictions changed on 240 rows", output)
    assert "  digits.scores.npz  240 calibration rows\n" in output
    assert "  digits.cascade.json  stages digits-0 -> digits-1\n" in output
    policies = re.findall(POLICY, output, re.M)
    assert [name for name, _, _ in policies] == ["first", "threshold", "window", "agreement", "full"]
    assert [cost for name, cost, _ in policies if name in ("first", "full")] == ["1.000", "2.000"]
    assert [name for name, _, mark in policies if mark] == ["window"]
    assert output.endswith(f"next: python -m serving {repository}\n")
    assert "dropped" not in output and "note: " not in output


def test_what_is_likely_not_meant_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        tabular_classifier(tmp_path / f"{name}.onnx", sees_colour=name == "b")
    table(tmp_path / "rows.npz")
    models = [str(tmp_path / f"{name}.onnx") for name in ("a", "b")]
    where = ["--repository", str(tmp_path / "models"), "--samples", str(tmp_path / "rows.npz")]
    options = ["--objective", "accuracy", *where]
    assert main(["add", *models, "--name", "dear", "--macs", "1,100", *options]) == 0
    output = capsys.readouterr().out
    assert "note: a budget of 1.3x lets 0.3% of the rows go on to stage 2, which costs 100x stage 1" in output
    assert "fp32, probabilities, 1 MACs a row" in output
    assert main(["add", *models, "--name", "odd", "--macs", "9,1", *options]) == 0
    assert "note: stage 1 costs more than stage 2" in capsys.readouterr().out
    (tmp_path / "models" / "odd.cascade.json").unlink()
    assert main(["list", str(tmp_path / "models")]) == 0
    others = "in no cascade any more, and loaded by Triton all the same: odd-0, odd-1"
    assert others in capsys.readouterr().out
