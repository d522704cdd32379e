import re
from collections.abc import Callable
from pathlib import Path

import pytest

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
    assert "dropped" not in output
