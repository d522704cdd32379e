"""The report and its files."""

import csv
import json
import re
from pathlib import Path

import pytest

from benchmarks.study import __main__ as study
from benchmarks.study.sizes import SIZES
from tests.benchmarks.study.parts import made_parts

SMALL = SIZES["small"]


def test_a_report_holds_every_part_and_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "ROOT", tmp_path)
    for name, part in made_parts().items():
        (tmp_path / f"{name}.json").write_text(json.dumps(part))
    study.report(tmp_path, SMALL)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for part in ("scaling", "selections", "windows", "served"):
        assert f"--size small --only {part}" in page
    assert page.count("data:image/png;base64,") == 7
    assert "the generator was late" in page
    assert "In the hard-batch paper&#x27;s own setting" in page
    assert "+2.0" in page
    assert "Not done yet" not in page
    assert "which speaks for <code>none</code>" in page
    with (tmp_path / "served.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(made_parts()["served"]["cases"])
    assert lines[0]["coverage.low"] == "0.49"
    assert lines[0]["stage_models"] == "small small"


def test_a_report_of_some_parts_names_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "ROOT", tmp_path)
    (tmp_path / "windows.json").write_text(json.dumps(made_parts()["windows"]))
    study.report(tmp_path, SMALL)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Not done yet: <code>scaling</code>, <code>selections</code>, <code>served</code>." in page
    assert page.count("data:image/png;base64,") == 1
    assert (tmp_path / "windows.csv").exists()
    assert not (tmp_path / "served.csv").exists()


def test_the_full_report_takes_what_is_kept_of_parts_not_done_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, kept = tmp_path / "here", tmp_path / "kept"
    monkeypatch.setattr(study, "ROOT", tmp_path)
    monkeypatch.setattr(study, "KEPT", {"full": kept})
    here.mkdir()
    kept.mkdir()
    parts = made_parts()
    (here / "windows.json").write_text(json.dumps(parts["windows"]))
    (kept / "windows.json").write_text("{}")
    (kept / "served.json").write_text(json.dumps(parts["served"]))
    study.report(here, SIZES["full"])
    page = (kept / "report.html").read_text(encoding="utf-8")
    assert "Not done yet: <code>scaling</code>, <code>selections</code>." in page
    assert json.loads((kept / "windows.json").read_text()) == parts["windows"]
    assert json.loads((kept / "served.json").read_text()) == parts["served"]


def test_a_size_that_is_not_served_has_multiply_adds_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "ROOT", tmp_path)
    monkeypatch.setattr(study, "KEPT", {})
    parts = made_parts()
    scaling = parts["scaling"]
    for each in scaling["judged"]:
        del each["cpu_ms"]
    for each in scaling["differences"]:
        del each["cpu_ms_ratio"]
    scaling["at_equal_cost"] = [each for each in scaling["at_equal_cost"] if each["unit"] == "macs"]
    del scaling["fronts"]["cpu_ms"]
    parts["selections"] |= {"fresh": [], "published": []}
    for name in ("scaling", "selections"):
        (tmp_path / f"{name}.json").write_text(json.dumps(parts[name]))
    study.report(tmp_path, SIZES["gpu"])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "CPU" not in re.sub(r'base64,[^"]*', "", page.partition("</style>")[2])
    assert "Not done yet: <code>windows</code>." in page
    assert "fresh seeds" not in page
    assert "In the hard-batch paper&#x27;s own setting" not in page
    assert not (tmp_path / "selections-fresh.csv").exists()
    assert study.cpu_ms(SIZES["gpu"], tmp_path) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--only", "served"), "no part served of the gpu study; there are: train, scaling"),
        (("--jobs", "0"), "--jobs must be 1 or more, got 0"),
    ],
)
def test_what_makes_no_sense_is_named(
    options: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["study", "--data-root", "d", "--human-labels", "l", "--size", "gpu"]
    monkeypatch.setattr("sys.argv", [*asked, *options])
    with pytest.raises(SystemExit, match=message):
        study.main()


def test_a_part_that_another_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"served.json is not there yet: --only served"):
        study._read(tmp_path, "served")


def test_data_that_is_missing_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(SystemExit, match="cifar-100-python: not there"):
        study.check(study.Data(root=tmp_path, human_labels=tmp_path / "labels.npz"))
