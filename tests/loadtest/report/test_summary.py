import csv
import json
from pathlib import Path

import pytest

from loadtest.figures.assertions import judged, parse_assertion
from loadtest.figures.results import Results
from loadtest.report.circumstances import Circumstances
from loadtest.report.summary import write_summary


def test_the_summary_holds_the_figures_of_each_case(
    results: Results, around: Circumstances, tmp_path: Path
) -> None:
    verdicts = judged([parse_assertion("window:cost<1.5")], results)
    write_summary(tmp_path, results, verdicts, around)
    told = json.loads((tmp_path / "summary.json").read_text())
    assert (told["format_version"], told["kind"], told["is_valid"]) == (2, "campaign", True)
    assert told["models"] == [
        {
            "name": "tiny",
            "is_cascade": True,
            "version": 3,
            "default_policy": "window",
            "stages": [["tiny-0"], ["tiny-1"]],
            "stage_macs": [10.0, 30.0],
        }
    ]
    assert told["verdicts"][0]["holds"] is False
    assert told["verdicts"][0]["detail"] == "window over http 1.6, window over grpc 1.6"
    assert told["config"]["load"]["rate"] == "100"
    assert told["machine"]["num_cores"] == 2
    window = next(case for case in told["cases"] if case["contender"] == "window" and case["over"] == "grpc")
    assert window["quality"]["cost"] == pytest.approx(1.6)
    assert window["quality"]["is_cost_matched"] is True
    assert [share["value"] for share in window["quality"]["exits"]] == pytest.approx([0.8, 0.2])
    assert window["difference"]["cost"] == pytest.approx(-2.4)
    assert window["difference"]["accuracy"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert window["under_load"]["shed"] == 0.0
    assert window["load"]["generator"] == {"lag_p99_ms": 0.25, "cpu_share": 0.1, "is_valid": True}
    assert next(case for case in told["cases"] if case["contender"] == "full")["difference"] is None


def test_the_csv_has_a_line_for_each_case_and_agrees(
    results: Results, around: Circumstances, tmp_path: Path
) -> None:
    write_summary(tmp_path, results, [], around)
    with (tmp_path / "summary.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["contender"], line["over"]) for line in lines] == [
        (contender, over) for contender in ("first", "window", "full") for over in ("http", "grpc")
    ]
    window, full = lines[2], lines[4]
    assert float(window["cost"]) == pytest.approx(1.6)
    assert (float(window["exits_1"]), float(window["exits_2"])) == pytest.approx((0.8, 0.2))
    assert float(window["difference_cost"]) == pytest.approx(-2.4)
    assert full["difference_cost"] == ""
    assert float(window["p99_ms"]) == results.cases[2].load.latency.p99_ms


def test_an_invalid_run_says_why(invalid: Results, around: Circumstances, tmp_path: Path) -> None:
    write_summary(tmp_path, invalid, [], around)
    told = json.loads((tmp_path / "summary.json").read_text())
    assert told["is_valid"] is False
    assert told["obstacle"].startswith("the generator did not keep up in 6 of 6 cases")


def test_no_secret_of_the_wire_is_told(results: Results, around: Circumstances, tmp_path: Path) -> None:
    write_summary(tmp_path, results, [], around)
    text = (tmp_path / "summary.json").read_text()
    assert "token" not in text
    assert "wire" not in text
