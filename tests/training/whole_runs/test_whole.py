"""What a run that is whole holds."""

import csv
import sys

import numpy as np
import pytest
import torch

from tests.training.whole_runs.tiny_runs import (
    MEMBER_FILES,
    SPLITS,
    read_json,
    train,
)
from training.data.datasets import load_dataset
from training.evaluation import evaluate, rows_of
from training.models import load_member
from training.runs import pixel_statistics


def test_the_run_is_whole_and_alone(run):
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    events = {name for name in files if "/tensorboard/events.out.tfevents." in name}
    assert len(events) == 2
    members = {f"member-{index}/{name}" for index in (0, 1) for name in MEMBER_FILES}
    splits = {f"splits/{name}.npz" for name in ("calibration", "test", "ood")}
    assert files - events == members | {"run.json"} | splits
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
        "image_size": None,
        "max_train_rows": 64,
        "skip_bad": False,
        "train_labels": None,
        "train_labels_key": None,
        "sizes": {"train": 64, "validation": 180, "calibration": 360, "test": 359, "ood": 2000},
        "fingerprint": load_dataset(SPLITS).fingerprint,
        "skipped": [],
    }
    assert manifest["settings"]["seed"] == 4
    deltas = [member["training"]["selection"]["delta"] for member in manifest["settings"]["members"]]
    assert deltas == [0.25, 1.0]
    assert manifest["versions"]["torch"] == torch.__version__.split("+")[0]
    assert manifest["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert manifest["command"].startswith("python -m training --dataset digits --copies 1")


def test_splits_are_those_of_the_data_set(run):
    dataset = load_dataset(SPLITS)
    for name in ("calibration", "test", "ood"):
        with np.load(run / "splits" / f"{name}.npz", allow_pickle=False) as file:
            assert np.array_equal(file["image"], dataset.splits[name].images)
            assert np.array_equal(file["groups"], dataset.splits[name].groups)
            if name != "ood":
                assert np.array_equal(file["labels"], dataset.splits[name].labels)


def test_members_know_how_they_were_made(run):
    for index, name in enumerate(("hard-batch", "none")):
        manifest = read_json(run / f"member-{index}" / "member.json")
        assert (manifest["format_version"], manifest["name"]) == (1, f"member-{index}")
        assert (manifest["training"]["seed"], manifest["training"]["member"]) == (4, index)
        assert manifest["training"]["selection"]["name"] == name
        assert manifest["spent"]["updates"] == 24


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
    assert [int(row["updates"]) for row in rows] == [8, 16, 24]
    metrics = read_json(run / "member-0" / "member.json")["metrics"]
    assert metrics["validation_accuracy"] == max(float(row["validation_accuracy"]) for row in rows)
    assert float(rows[metrics["best_epoch"] - 1]["validation_nll"]) == metrics["validation_nll"]


def test_members_of_one_seed_are_not_alike(run):
    weights = [load_member(run / f"member-{index}")[0].state_dict() for index in (0, 1)]
    assert not torch.equal(weights[0]["backbone.0.weight"], weights[1]["backbone.0.weight"])


def test_pixel_statistics_by_hand():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 2), dtype=np.uint8)
    mean, std = pixel_statistics(images)
    assert mean == pytest.approx((images / 255).mean(axis=(0, 1, 2)))
    assert std == pytest.approx((images / 255).std(axis=(0, 1, 2)))


def test_a_channel_that_never_changes_has_a_std_to_divide_by():
    assert pixel_statistics(np.full((2, 2, 2, 1), 51, np.uint8)) == ((pytest.approx(0.2),), (1 / 255,))


def test_channels_last_reaches_the_model(tmp_path):
    """It is a layout: what is trained is the same but for rounding."""
    trained, plain = {}, ("--selection", "none", "--delta", "")
    for flag in ("--channels-last", "--no-channels-last"):
        assert train(tmp_path / flag, flag, "--epochs", "1", "--members", "1", *plain) == 0
        trained[flag] = load_member(tmp_path / flag / "member-0")
    settings = [manifest["training"]["channels_last"] for _, manifest in trained.values()]
    assert settings == [True, False]
    first, second = (model.state_dict()["backbone.0.weight"] for model, _ in trained.values())
    assert torch.allclose(first, second, atol=1e-4)
