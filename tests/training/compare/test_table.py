import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.compare.test_results import HARD, NONE, result
from training.compare.results import Arm, Result
from training.compare.statistics import summarise
from training.compare.table import write_report

RANDOM = Arm(selection="random", delta=0.5)
FILES = {"report.md", "curves.png", "summary.csv", "results.csv", "curves.csv", "comparison.json"}


def runs(arm, accuracies, nlls, **changes):
    pairs = enumerate(zip(accuracies, nlls, strict=True))
    results = (result(arm, seed, test_accuracy=accuracy, test_nll=nll) for seed, (accuracy, nll) in pairs)
    return [replace(run, **changes) for run in results]


RESULTS = [
    *runs(NONE, (0.80, 0.82, 0.84), (0.60, 0.61, 0.62)),
    *runs(HARD, (0.84, 0.85, 0.89), (0.70, 0.72, 0.71), samples_forward=320),
    *runs(RANDOM, (0.80, 0.83, 0.83), (0.60, 0.60, 0.63)),
    *runs(replace(NONE, labels="worse_label"), (0.5,), (1.5,)),
    *runs(replace(HARD, labels="worse_label"), (0.6,), (1.25,)),
]


def write(folder: Path, results=RESULTS, *, baseline="none", target_accuracy=0.75, settings=None) -> Path:
    write_report(
        folder,
        results,
        summarise(results, baseline=baseline, target_accuracy=target_accuracy),
        title="Selections on digits",
        command="python -m training compare --arms a|b",
        budget="2 epochs of 10 updates",
        baseline=baseline,
        target_accuracy=target_accuracy,
        machine="2 cores",
        settings=settings or {"lr": 0.1, "model": "resnet8"},
    )
    return folder


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("comparison") / "deep" / "report")


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / "report.md").read_text(encoding="utf-8")


def rows_of(text: str) -> list[list[str]]:
    """The cells of all tables, headings and rules included."""
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]


def test_only_whole_files_are_left(folder):
    assert {path.name for path in folder.iterdir()} == FILES


def test_a_table_a_set_of_labels(text):
    first = text.index("## Labels: as in the data set\n")
    assert text.index("## Labels: worse_label\n") > first
    arms = [row[0] for row in rows_of(text)]
    assert arms == [
        "arm",
        "---",
        "**none**",
        "hard-batch 0.5",
        "random 0.5",
        "arm",
        "---",
        "**none**",
        "hard-batch 0.5",
    ]
    assert {len(row) for row in rows_of(text)} == {13}


def test_the_cells_of_an_arm(text):
    # Differences 0.04, 0.03, 0.05: mean 0.04, t s / sqrt(3) = 4.302653 * 0.01 / 1.732051 = 0.024841;
    # of the NLL 0.10, 0.11, 0.09.
    assert rows_of(text)[3] == [
        "hard-batch 0.5",
        "3",
        "86.00% ± 2.65",
        "+4.00 [+1.52, +6.48]",
        "0.7100 ± 0.0100",
        "+0.1000 [+0.0752, +0.1248]",
        "20 (3 of 3)",
        "320",
        "80",
        "2.0 ± 0.0",
        "50.0%",
        "1-3",
        "12.5%",
    ]
    assert rows_of(text)[2][3:6] == ["baseline", "0.6100 ± 0.0100", "baseline"]
    assert rows_of(text)[2][10:] == ["–", "1-3", "–"]


def test_one_seed_shows_no_difference(text):
    assert rows_of(text)[8][1:4] == ["1", "60.00%", "–"]
    assert "- No arm has two seeds in common with `none`: no difference is shown." in text


def test_the_reading_follows_the_numbers(text):
    assert (
        "- Test accuracy: better than `none`: hard-batch 0.5 (+4.00 points); "
        "1 of 2 intervals include zero, where no difference is shown.\n"
    ) in text
    assert (
        "- Test NLL: worse than `none`: hard-batch 0.5 (+0.1000); "
        "1 of 2 intervals include zero, where no difference is shown.\n"
    ) in text
    assert "Over 3 common seeds, a difference in test accuracy had to exceed" in text
    assert "2 arms were compared without correction" in text
    assert "with a chance of up to 10%." in text
    assert "they differ in samples forward (160 to 320)." in text
    assert "so known to 10 updates at best" in text


def test_the_least_difference_that_could_be_shown_is_named(tmp_path):
    # Differences of the one 0.00, 0.01, 0.02, of the other 0.00, 0.02, 0.04.
    one = runs(HARD, (0.80, 0.83, 0.86), (0.6, 0.6, 0.6))
    other = runs(RANDOM, (0.80, 0.84, 0.88), (0.6, 0.6, 0.6))
    text = (write(tmp_path, [*RESULTS[:3], *one, *other]) / "report.md").read_text(encoding="utf-8")
    assert (
        "told from zero: from 2.48 points for hard-batch 0.5 to 4.97 points for random 0.5. Smaller" in text
    )
    assert "Test accuracy: 2 of 2 intervals include zero, where no difference is shown." in text


def test_an_interval_without_width_is_called_what_it_is(tmp_path):
    shifted = runs(HARD, (0.81, 0.83, 0.85), (0.6, 0.7, 0.6))
    text = (write(tmp_path, [*RESULTS[:3], *shifted]) / "report.md").read_text(encoding="utf-8")
    assert "All seeds of hard-batch 0.5 differ from the baseline by the same amount" in text
    assert "without correction" not in text
    assert "did not spend the same" not in text


def test_a_target_that_half_of_the_seeds_miss(tmp_path):
    courses = [(0.1, 0.75, 0.2), (0.1, 0.7, 0.7), (0.1, 0.2, 0.3)]
    seeds = [result(seed=seed, accuracies=course) for seed, course in enumerate(courses)]
    text = (write(tmp_path, seeds) / "report.md").read_text(encoding="utf-8")
    assert rows_of(text)[2][6] == "> 30 (1 of 3)"
    assert "so known to 10 updates at best" in text
    assert "- target: validation accuracy 75%\n" in text


def test_without_baseline_or_target(tmp_path):
    folder = write(tmp_path, baseline=None, target_accuracy=None)
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "- baseline: not named\n- target: not set\n" in text
    assert text.count("No arm is the baseline: none is shown to be better or worse than another.") == 2
    assert "Updates to target" not in text
    assert {row[6] for row in rows_of(text)} == {"updates to target", "---:", "–"}
    assert {row["updates_to_target"] for row in read_csv(folder / "results.csv")} == {""}


def test_what_it_was_run_with_is_told(text):
    assert text.startswith("# Selections on digits\n\n    python -m training compare --arms a|b\n")
    assert "- budget: 2 epochs of 10 updates\n- baseline: `none`\n" in text
    assert "- machine: 2 cores\n" in text
    assert "](curves.png)\n" in text
    assert text.endswith('## Settings\n\n```json\n{\n  "lr": 0.1,\n  "model": "resnet8"\n}\n```\n')


def test_a_name_can_not_break_a_table(tmp_path):
    odd = [result(Arm(selection="a|b", delta=1.0), seed) for seed in (0, 1)]
    text = (write(tmp_path, odd, baseline=None) / "report.md").read_text(encoding="utf-8")
    assert rows_of(text)[2][0] == "a/b 1"


def test_a_row_an_arm(folder):
    rows = read_csv(folder / "summary.csv")
    assert [(row["arm"], row["labels"]) for row in rows] == [
        ("none", ""),
        ("hard-batch 0.5", ""),
        ("random 0.5", ""),
        ("none", "worse_label"),
        ("hard-batch 0.5", "worse_label"),
    ]
    hard = rows[1]
    assert float(hard["accuracy_difference_mean"]) == pytest.approx(0.04)
    assert float(hard["accuracy_difference_low"]) == pytest.approx(0.015159, abs=1e-6)
    assert float(hard["accuracy_difference_half_width"]) == pytest.approx(0.024841, abs=1e-6)
    assert float(hard["test_nll_mean"]) == pytest.approx(0.71)
    assert (hard["num_seeds"], hard["num_reached"], hard["median_updates_to_target"]) == ("3", "3", "20")
    assert rows[0]["accuracy_difference_mean"] == ""


def test_a_row_an_arm_and_seed(folder):
    rows = read_csv(folder / "results.csv")
    assert len(rows) == len(RESULTS)
    assert list(rows[0])[:6] == ["arm", "selection", "delta", "labels", "seed", "test_accuracy"]
    assert list(rows[0])[-3:] == ["share_never_again", "validation_accuracy", "updates_to_target"]
    assert (rows[5]["arm"], rows[5]["seed"], rows[5]["test_accuracy"]) == ("hard-batch 0.5", "2", "0.89")
    assert (rows[5]["updates_to_target"], rows[5]["validation_accuracy"]) == ("20", "0.75")
    assert (rows[0]["mean_overlap"], rows[5]["mean_overlap"]) == ("", "0.5")


def test_a_row_an_evaluation(folder):
    rows = read_csv(folder / "curves.csv")
    assert len(rows) == 2 * len(RESULTS)
    assert list(rows[3].items()) == [
        ("arm", "none"),
        ("selection", "none"),
        ("delta", "1.0"),
        ("labels", ""),
        ("seed", "1"),
        ("updates", "20"),
        ("samples_forward", "160"),
        ("samples_backward", "80"),
        ("seconds", "2.0"),
        ("train_loss", "0.5"),
        ("validation_accuracy", "0.75"),
        ("validation_nll", "0.25"),
    ]


def test_machines_read_everything(folder):
    document = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert document["format_version"] == 1
    assert [Result.from_json(value) for value in document["results"]] == RESULTS
    assert [document[key] for key in ("baseline", "target_accuracy", "confidence")] == ["none", 0.75, 0.95]
    assert document["settings"] == {"lr": 0.1, "model": "resnet8"}
    hard = document["summaries"][1]
    assert hard["accuracy_difference_mean"] == pytest.approx(0.04)
    assert hard["updates_to_target"] == [20, 20, 20]


def test_settings_of_any_kind_are_written(tmp_path):
    folder = write(tmp_path, settings={"out": Path("runs/x")})
    assert json.loads((folder / "comparison.json").read_text(encoding="utf-8"))["settings"] == {
        "out": "runs/x"
    }


def test_a_crash_leaves_the_old_files_whole(tmp_path, monkeypatch):
    write(tmp_path, RESULTS[:3])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_can_not_be_written_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(tmp_path / "report", settings={"lr": float("nan")})
    assert not (tmp_path / "report").exists()
