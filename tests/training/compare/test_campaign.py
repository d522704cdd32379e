import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.training import tiny
from training.cli import main
from training.compare.results import Arm, Result
from training.compare.trial import Trial, read_result, run_trial
from training.config import OptimizerConfig, TrainingConfig
from training.data.config import DatasetConfig
from training.data.datasets import load_dataset
from training.runs import make_specs
from training.seeds import Seeds
from training.selection.config import SelectionConfig
from training.session import Task

DATA = {"difficulty": 0.2, "copies": 1, "max_train_rows": 64}
ARGUMENTS = [
    *("compare", "--dataset", "digits", "--copies", "1", "--difficulty", "0.2", "--max-train-rows", "64"),
    *("--model", "tiny_with_dropout", "--batch-size", "8", "--lr", "0.05", "--device", "cpu", "--jobs", "1"),
]
ARMS = ("--selections", "none,hard-batch", "--deltas", "0.25", "--seeds", "2")
REPORT = ("comparison.json", "report.md", "curves.png", "summary.csv", "results.csv", "curves.csv")


def compare(out, *more):
    return main([*ARGUMENTS, *more, "--out", str(out)])


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    assert tiny.SPEC.name == "tiny_with_dropout"
    out = tmp_path_factory.mktemp("compared") / "out"
    assert compare(out, *ARMS, "--epochs", "2") == 0
    return out


@pytest.fixture
def out(original, tmp_path):
    """One's own, to go on with."""
    shutil.copytree(original, tmp_path / "out")
    return tmp_path / "out"


def results(out):
    """By label set, arm and seed."""
    return {
        "/".join(path.parent.parts[-3:]): read_result(path) for path in out.glob("runs/*/*/*/result.json")
    }


def states(out):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.glob("runs/*/*/*/result.json")}


def without_seconds(result):
    curve = tuple(replace(point, seconds=0) for point in result.curve)
    return replace(result, seconds=0, curve=curve)


def test_there_is_a_result_of_each_arm_and_seed_and_a_report_of_all(original):
    found = results(original)
    assert set(found) == {f"own/{arm}/seed-{s}" for arm in ("none", "hard-batch-0.25") for s in (0, 1)}
    assert {path.name for path in original.iterdir()} == {*REPORT, "runs", "settings.json"}
    with (original / "results.csv").open(newline="") as file:
        rows = [(row["arm"], row["seed"], float(row["test_accuracy"])) for row in csv.DictReader(file)]
    # Seeds one after the other, each with all arms.
    assert rows == [
        (result.arm.name, str(result.seed), result.test_accuracy)
        for result in (
            found[f"own/{arm}/seed-{seed}"] for seed in (0, 1) for arm in ("none", "hard-batch-0.25")
        )
    ]
    document = json.loads((original / "comparison.json").read_text())
    assert (document["baseline"], document["budget"]) == ("none", "16updates")
    assert document["settings"]["train_rows"] == 64
    assert document["settings"]["updates_per_epoch"] == 8
    assert [Result.from_json(result) for result in document["results"]] == [
        found[f"own/{arm}/seed-{seed}"] for seed in (0, 1) for arm in ("none", "hard-batch-0.25")
    ]
    assert "tiny_with_dropout on digits" in (original / "report.md").read_text()


def test_a_result_is_that_of_the_trial_alone(original, tmp_path):
    dataset = load_dataset(DatasetConfig(name="digits", **DATA))
    (spec,) = make_specs(["tiny_with_dropout"], dataset)
    selection = SelectionConfig.usual("hard-batch", delta=0.25)
    task = Task(
        name="alone",
        folder=tmp_path / "alone",
        spec=spec,
        training=TrainingConfig(
            epochs=2,
            batch_size=8,
            device="cpu",
            optimizer=OptimizerConfig(lr=0.05),
            selection=selection,
        ),
        seeds=Seeds(seed=1, member=0),
        train=dataset.train,
        validation=dataset.validation,
    )
    alone = run_trial(
        Trial(arm=Arm(selection="hard-batch", delta=0.25), task=task, test=dataset.test),
    )
    assert without_seconds(alone) == without_seconds(results(original)["own/hard-batch-0.25/seed-1"])


def test_going_on_trains_nothing_anew_and_adds_arms_and_seeds(out, capsys):
    before = states(out)
    assert compare(out, *ARMS, "--epochs", "2", "--resume") == 0
    assert capsys.readouterr().out == f"{out / 'report.md'}: 4 runs compared\n"
    assert states(out) == before

    more = ("--selections", "none,hard-batch,top-k", "--deltas", "0.25", "--seeds", "3", "--epochs", "2")
    assert compare(out, *more, "--resume") == 0
    assert capsys.readouterr().out == f"{out / 'report.md'}: 9 runs compared\n"
    after = states(out)
    assert {path: after[path] for path in before} == before
    assert len(after) == 9
    arms = json.loads((out / "settings.json").read_text())["arms"]
    assert set(arms) == {"none", "hard-batch 0.25", "top-k 0.25"}
    # What is not asked for this time stays, and is left out of the report.
    assert compare(out, *ARMS, "--epochs", "2", "--resume") == 0
    assert set(json.loads((out / "settings.json").read_text())["arms"]) == set(arms)
    assert states(out) == after


CHANGES = [
    (["--epochs", "3"], "shared.training.epochs was 2 and is 3"),
    (["--epochs", "2", "--lr", "0.1"], "shared.training.optimizer.lr was 0.05 and is 0.1"),
    (["--epochs", "2", "--model", "resnet8"], "shared.model was 'tiny_with_dropout' and is 'resnet8'"),
    (["--epochs", "2", "--full-every", "2"], "arms.hard-batch 0.25.full_every was 0 and is 2"),
    (["--epochs", "2", "--split-seed", "1"], "data.own.fingerprint was '"),
]


@pytest.mark.parametrize(("changes", "message"), CHANGES)
def test_other_settings_are_refused_by_name(out, capsys, changes, message):
    before = (out / "settings.json").read_bytes()
    assert compare(out, *ARMS, *changes, "--resume") == 2
    line = capsys.readouterr().err
    assert line.startswith(f"error: {out} holds a comparison with other settings: {message}")
    assert line.count("\n") == 1
    assert (out / "settings.json").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "can't be read: JSONDecodeError("),
        ("[]", "can't be read: AttributeError("),
        ('{"format_version": 1}', "can't be read: KeyError('shared')"),
        ('{"format_version": 2}', "has format_version 2; known is 1"),
    ],
)
def test_settings_that_are_none_are_one_line(out, capsys, text, message):
    (out / "settings.json").write_text(text)
    assert compare(out, *ARMS, "--epochs", "2", "--resume") == 2
    line = capsys.readouterr().err
    assert line.startswith(f"error: {out / 'settings.json'} {message}") and line.count("\n") == 1


def test_label_sets_are_compared_each_for_itself(tmp_path):
    clean = load_dataset(DatasetConfig(name="digits", **DATA))
    labels = np.random.default_rng(0).integers(0, 10, 1797)
    np.savez(tmp_path / "labels.npz", random=labels)
    out = tmp_path / "out"
    settings = (
        "--selections",
        "none,hard-batch",
        "--seeds",
        "1",
        "--epochs",
        "4",
        "--target-accuracy",
        "0.5",
    )
    assert (
        compare(out, *settings, "--train-labels", str(tmp_path / "labels.npz"), "--labels", "own,random") == 0
    )
    found = results(out)
    assert set(found) == {
        f"{labels}/{arm}/seed-0" for labels in ("own", "random") for arm in ("none", "hard-batch-0.5")
    }
    assert {result.arm.labels for result in found.values()} == {"", "random"}
    # Only what is trained on has other labels: what is judged stays true.
    assert found["own/none/seed-0"].test_accuracy > 0.4 > 0.25 > found["random/none/seed-0"].test_accuracy
    report = (out / "report.md").read_text()
    assert "## Labels: as in the data set" in report and "## Labels: random" in report
    data = json.loads((out / "settings.json").read_text())["data"]
    assert data["own"] == {"fingerprint": clean.fingerprint, "test_rows": 359}
    assert data["random"]["fingerprint"] != clean.fingerprint


def test_at_equal_samples_run_forward_candidates_cost_updates(tmp_path):
    out = tmp_path / "out"
    settings = ("--selections", "none,top-k", "--deltas", "0.25", "--seeds", "1", "--budget", "400samples")
    assert compare(out, *settings) == 0
    found = results(out)
    assert [found[f"own/{arm}/seed-0"].updates for arm in ("none", "top-k-0.25")] == [50, 10]
    assert {result.samples_forward for result in found.values()} == {400}
    assert [found[f"own/{arm}/seed-0"].samples_backward for arm in ("none", "top-k-0.25")] == [400, 80]


def test_cascade_aware_is_compared_behind_the_members_of_a_run(tmp_path, capsys):
    run = tmp_path / "run"
    train = ["--models" if part == "--model" else part for part in ARGUMENTS[1:]]
    assert main([*train, "--epochs", "1", "--out", str(run)]) == 0
    out = tmp_path / "out"
    settings = ("--selections", "none,cascade-aware", "--seeds", "1", "--epochs", "2", "--earlier", str(run))
    assert compare(out, *settings) == 0
    found = results(out)
    # Every row, and the half of them that the member before would forward.
    assert [found[f"own/{arm}/seed-0"].visits_min for arm in ("none", "cascade-aware-0.5")] == [2, 0]
    (run / "member-0" / "member.json").unlink()
    capsys.readouterr()
    assert compare(tmp_path / "more", *settings) == 2
    assert capsys.readouterr().err == f"error: {run}: member-0 is not trained yet\n"
    assert not (tmp_path / "more").exists()
