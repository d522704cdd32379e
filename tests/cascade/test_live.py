"""Figures of a log, worked out by hand."""

from pathlib import Path

import pytest

from cascade.intervals import wilson
from cascade.labels_file import Labels, read_labels
from cascade.live import live_figures
from tests.cascade.logs import row, write_log


def labels(folder: Path, *lines: str) -> Labels:
    file = folder / "labels.csv"
    file.write_text("\n".join(["request_id,row,label", *lines]) + "\n")
    return read_labels(file)


@pytest.fixture
def log(tmp_path: Path) -> list[Path]:
    """Two files; of policy `window` 8 rows, of which 6 are accepted, and of `full` one."""
    first = write_log(
        tmp_path / "1.parquet",
        *(row(f"r{k}", label=k, confidence=0.9) for k in range(4)),
        row("r4", label=4, confidence=0.5, accepted=False, exit_stage=3, exit_reason="last"),
        row("other", policy="full", exit_stage=3, exit_reason="last"),
    )
    second = write_log(
        tmp_path / "2.parquet",
        row("r5", label=5, confidence=0.8, exit_stage=2),
        row("r6", label=6, confidence=0.8, exit_stage=2, exit_reason="deadline", degraded=True),
        row("r7", label=7, confidence=0.7, accepted=False, exit_stage=3, exit_reason="last"),
    )
    return [first, second]


def test_figures_of_all_rows_need_no_label(log: list[Path]) -> None:
    told = live_figures(log)
    assert told["log"] == {
        "files": 2,
        "rows": 9,
        "from": "2026-03-01T12:00:00+00:00",
        "to": "2026-03-01T12:00:05+00:00",
    }
    assert told["labels"] is None
    full, window = told["policies"]
    assert (full["policy"], full["rows"], full["exits"]) == ("full", 1, [0, 0, 1])
    assert (window["model"], window["cascade_version"], window["policy"]) == ("m", "1", "window")
    assert (window["rows"], window["labelled"], window["labelled_accepted"]) == (8, 0, 0)
    assert window["coverage"] == 6 / 8
    assert window["confidence"] == pytest.approx((4 * 0.9 + 0.5 + 0.8 + 0.8 + 0.7) / 8, rel=1e-6)
    assert window["degraded"] == 1 / 8
    assert window["exits"] == [4 / 8, 2 / 8, 2 / 8]
    assert window["exit_reasons"] == {"deadline": 1 / 8, "last": 2 / 8, "window": 5 / 8}
    unknown = ("risk", "accuracy", "coverage_of_labelled", "confidence_of_labelled")
    assert [window[name] for name in unknown] == [None] * 4
    assert window["intervals"] == {"risk": None, "accuracy": None}


def test_errors_are_of_the_rows_whose_labels_are_known(log: list[Path], tmp_path: Path) -> None:
    """Right: r0, r1, r5, r4 (rejected). Wrong: r2, r7 (rejected). Not known: r3, r6 and `other`."""
    known = labels(tmp_path, "r0,0,0", "r1,0,1", "r2,0,9", "r4,0,4", "r5,0,5", "r7,0,9", "gone,0,1", "r0,1,1")
    told = live_figures(log, known)
    assert told["labels"] == {"labels": 8, "repeated": 0, "unknown": 2, "ambiguous": 0}
    full, window = told["policies"]
    assert (full["labelled"], full["risk"], full["accuracy"]) == (0, None, None)
    assert (window["labelled"], window["labelled_accepted"]) == (6, 4)
    assert window["coverage_of_labelled"] == 4 / 6
    assert window["confidence_of_labelled"] == pytest.approx((3 * 0.9 + 0.5 + 0.8 + 0.7) / 6, rel=1e-6)
    assert window["risk"] == 1 / 4
    assert window["intervals"]["risk"] == pytest.approx(wilson(1 / 4, 4))
    assert window["accuracy"] == 4 / 6
    assert window["intervals"]["accuracy"] == pytest.approx(wilson(4 / 6, 6))


def test_rows_of_one_request_tell_less_than_as_many_requests(tmp_path: Path) -> None:
    """All rows of a request are right, or all are wrong: 8 requests of 10 rows tell what 8 rows would, but
    for the correction of a variance that is seen in 8."""
    alike = [row(f"r{k}", number, label=k % 2) for k in range(8) for number in range(10)]
    file = write_log(tmp_path / "a.parquet", *alike)
    known = labels(tmp_path, *(f"r{k},{number},0" for k in range(8) for number in range(10)))
    (figures,) = live_figures([file], known)["policies"]
    assert figures["risk"] == 0.5
    assert figures["intervals"]["risk"] == pytest.approx(wilson(0.5, 7))


def test_a_row_that_is_there_twice_goes_without_its_label(tmp_path: Path) -> None:
    """In the log of one model, whatever the policy; another model may well have seen the same row."""
    first = write_log(
        tmp_path / "1.parquet",
        row("twice", label=1),
        row("once", label=1),
        row("twice", label=1, model="n"),
    )
    second = write_log(tmp_path / "2.parquet", row("twice", label=1, policy="full"))
    told = live_figures([first, second], labels(tmp_path, "twice,0,1", "once,0,2"))
    assert told["labels"] == {"labels": 2, "repeated": 0, "unknown": 0, "ambiguous": 2}
    by_group = {(each["model"], each["policy"]): each for each in told["policies"]}
    assert {key: (each["labelled"], each["risk"]) for key, each in by_group.items()} == {
        ("m", "full"): (0, None),
        ("m", "window"): (1, 1.0),
        ("n", "window"): (1, 0.0),
    }


def test_versions_are_told_apart_and_an_empty_file_adds_nothing(tmp_path: Path) -> None:
    files = [
        write_log(tmp_path / "0.parquet"),
        write_log(tmp_path / "1.parquet", row("a")),
        write_log(tmp_path / "2.parquet", row("b", cascade_version="2")),
    ]
    told = live_figures(files, labels(tmp_path, "b,0,1"))
    assert [(each["cascade_version"], each["risk"]) for each in told["policies"]] == [("1", None), ("2", 1.0)]
    empty = live_figures(files[:1])
    assert empty == {"log": {"files": 1, "rows": 0, "from": None, "to": None}, "labels": None, "policies": []}
