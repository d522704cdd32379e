import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from training import runs
from training.cli import main, parse
from training.data.config import DatasetConfig
from training.data.datasets import load_dataset
from training.errors import DivergedError
from training.loop import evaluate, rows_of
from training.models import load_member
from training.runs import pixel_statistics

CHECKOUT = Path(runs.__file__).parents[1]
ARGUMENTS = [
    *("--dataset", "digits", "--models", "resnet8,resnet14", "--selection", "hard-batch", "--delta", "0.5"),
    *(
        "--copies",
        "1",
        "--max-train-rows",
        "330",
        "--epochs",
        "3",
        "--difficulty",
        "0.2",
        "--seed",
        "4",
        "--lr",
        "0.1",
    ),
]
SPLITS = DatasetConfig(name="digits", difficulty=0.2, copies=1, max_train_rows=330)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main([*ARGUMENTS, "--jobs", "1", "--out", str(folder)]) == 0
    return folder


def read_json(path):
    return json.loads(path.read_text())


def test_the_run_is_whole_and_alone(run):
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    members = {
        f"member-{i}/{name}" for i in (0, 1) for name in ("model.safetensors", "member.json", "metrics.csv")
    }
    assert files == members | {"run.json", "splits/calibration.npz", "splits/test.npz", "splits/ood.npz"}
    assert list(run.parent.iterdir()) == [run]


def test_the_run_describes_itself(run):
    manifest = read_json(run / "run.json")
    assert (manifest["format_version"], manifest["name"]) == (1, "tiny")
    assert manifest["classes"] == list("0123456789")
    assert manifest["input"] == {"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}
    assert manifest["members"] == ["member-0", "member-1"]
    assert manifest["dataset"] == {
        "name": "digits",
        "difficulty": 0.2,
        "copies": 1,
        "split_seed": 0,
        "data_root": None,
        "download": False,
        "image_size": None,
        "max_train_rows": 330,
        "sizes": {"train": 330, "validation": 180, "calibration": 360, "test": 359, "ood": 2000},
    }
    assert manifest["versions"]["torch"] == torch.__version__.split("+")[0]
    assert manifest["command"].startswith("python -m training --dataset digits --models resnet8,resnet14")


def test_splits_are_those_of_the_data_set(run):
    dataset = load_dataset(SPLITS)
    for name in ("calibration", "test", "ood"):
        with np.load(run / "splits" / f"{name}.npz", allow_pickle=False) as file:
            assert np.array_equal(file["image"], dataset.splits[name].images)
            assert np.array_equal(file["groups"], dataset.splits[name].groups)
            if name != "ood":
                assert np.array_equal(file["labels"], dataset.splits[name].labels)


def test_members_know_how_they_were_made(run):
    for index, name in enumerate(("resnet8", "resnet14")):
        manifest = read_json(run / f"member-{index}" / "member.json")
        assert (manifest["format_version"], manifest["name"]) == (1, f"member-{index}")
        assert manifest["model"]["name"] == name
        assert manifest["training"]["seed"] == 4 + index
        assert manifest["training"]["selection"] == {"name": "hard-batch", "delta": 0.5}
    assert read_json(run / "member-0" / "member.json")["macs"] == 763_520


def test_pixels_are_normalised_by_the_train_split_alone(run):
    dataset = load_dataset(SPLITS)
    for index in (0, 1):
        model = read_json(run / f"member-{index}" / "member.json")["model"]
        given = (model["mean"], model["std"])
        assert given == tuple(map(list, pixel_statistics(dataset.train.images)))
        for name in ("validation", "calibration", "test"):
            mean, std = pixel_statistics(dataset.splits[name].images)
            assert given[0] != list(mean) and given[1] != list(std)


def test_weights_reload_to_the_same_validation_accuracy(run):
    validation = rows_of(load_dataset(SPLITS).validation)
    for index in (0, 1):
        model, manifest = load_member(run / f"member-{index}")
        accuracy, nll = evaluate(model, validation)
        assert accuracy == manifest["metrics"]["validation_accuracy"] > 0.3
        assert nll == pytest.approx(manifest["metrics"]["validation_nll"], rel=1e-9)


def test_metrics_hold_the_best_epoch(run):
    with (run / "member-0" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["updates"]) for row in rows] == [10, 20, 30]
    metrics = read_json(run / "member-0" / "member.json")["metrics"]
    assert metrics["validation_accuracy"] == max(float(row["validation_accuracy"]) for row in rows)
    assert float(rows[metrics["best_epoch"] - 1]["validation_nll"]) == metrics["validation_nll"]


def test_members_side_by_side_are_bit_for_bit_those_in_a_row(run, tmp_path):
    """Through the real command line, which must also keep its progress short where there is no terminal."""
    command = [sys.executable, "-m", "training", *ARGUMENTS, "--jobs", "2", "--out", str(tmp_path / "again")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'again'}: 2 members, validation accuracy ")
    assert len(done.stderr.splitlines()) == 6
    for index in (0, 1):
        first, again = (
            load_file(folder / f"member-{index}" / "model.safetensors")
            for folder in (run, tmp_path / "again")
        )
        assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_run_that_fails_leaves_nothing(tmp_path, monkeypatch, capsys):
    def diverge(task):
        raise DivergedError("the loss is nan")

    monkeypatch.setattr(runs, "make_member", diverge)
    assert main([*ARGUMENTS, "--jobs", "1", "--out", str(tmp_path / "x")]) == 1
    assert capsys.readouterr().err == "error: the loss is nan\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", [False, True])
def test_an_old_run_is_replaced_only_by_a_whole_one(tmp_path, monkeypatch, fails):
    out = tmp_path / "x"
    out.mkdir()
    (out / "run.json").write_text("old")

    def write_nothing(task):
        if fails:
            raise DivergedError("the loss is nan")
        return 0.5

    monkeypatch.setattr(runs, "make_member", write_nothing)
    assert main([*ARGUMENTS, "--jobs", "1", "--out", str(out), "--overwrite"]) == fails
    assert ((out / "run.json").read_text() == "old") is fails
    assert list(tmp_path.iterdir()) == [out]


def test_pixel_statistics_by_hand():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 2), dtype=np.uint8)
    mean, std = pixel_statistics(images)
    assert mean == pytest.approx((images / 255).mean(axis=(0, 1, 2)))
    assert std == pytest.approx((images / 255).std(axis=(0, 1, 2)))


def test_a_channel_that_never_changes_has_a_std_to_divide_by():
    assert pixel_statistics(np.full((2, 2, 2, 1), 51, np.uint8)) == ((pytest.approx(0.2),), (1 / 255,))


def test_the_defaults_are_those_of_the_demo(tmp_path):
    arguments = ["--dataset", "digits", "--models", "resnet8,resnet8,resnet8", "--out", str(tmp_path / "x")]
    config = parse([*arguments, "--selection", "hard-batch"])
    assert (config.dataset.difficulty, config.dataset.copies) == (0.75, 8)
    assert (config.training.epochs, config.training.batch_size) == (20, 32)
    assert config.training.selection.delta == 0.5
    assert parse(arguments).training.selection.delta == 1
