"""Runs of two tiny members, by the command line."""

import json

from tests.training.test_resume import assert_equal_members
from training.cli import main
from training.data.config import DatasetConfig

ARGUMENTS = [
    *("--dataset", "digits", "--copies", "1", "--difficulty", "0.2", "--max-train-rows", "64"),
    *(
        "--models",
        "tiny_with_dropout",
        "--members",
        "2",
        "--selection",
        "hard-batch,none",
        "--delta",
        "0.25,",
    ),
    *("--epochs", "3", "--batch-size", "8", "--seed", "4", "--lr", "0.05", "--device", "cpu", "--jobs", "1"),
]


SPLITS = DatasetConfig(name="digits", difficulty=0.2, copies=1, max_train_rows=64)


MEMBER_FILES = (
    *("model.safetensors", "member.json", "metrics.csv", "updates.csv", "selection.npz", "curves.png"),
)


def train(out, *more):
    return main([*ARGUMENTS, *more, "--out", str(out)])


def resume(out, *more):
    return main(["--resume", "--jobs", "1", *more, "--out", str(out)])


def read_json(path):
    return json.loads(path.read_text())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_equal_runs(first, second):
    for index in (0, 1):
        assert_equal_members(first / f"member-{index}", second / f"member-{index}")
    one, other = read_json(first / "run.json"), read_json(second / "run.json")
    assert one | {"command": "", "name": ""} == other | {"command": "", "name": ""}
    for name in ("calibration", "test", "ood"):
        assert (first / "splits" / f"{name}.npz").is_file() and (second / "splits" / f"{name}.npz").is_file()
