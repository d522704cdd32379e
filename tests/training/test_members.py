import json

import numpy as np
import pytest
import torch

from training.config import TrainingConfig
from training.data.splits import Split
from training.loop import Outcome, snapshot
from training.members import MemberTask, write_member
from training.models import ModelSpec, build_model, load_member
from training.plan import Visit
from training.records import Tally

SPEC = ModelSpec(name="resnet8", height=8, width=8, channels=1, num_classes=10, mean=(0.3,), std=(0.4,))
EMPTY = Split(
    images=np.zeros((0, 8, 8, 1), np.uint8), labels=np.zeros(0, np.int64), groups=np.zeros(0, np.int64)
)


def make_task(folder):
    return MemberTask(
        index=2,
        folder=folder / "member-2",
        spec=SPEC,
        training=TrainingConfig(seed=9),
        train=EMPTY,
        validation=EMPTY,
    )


def record(epoch, accuracy):
    tally = Tally()
    tally.add(Visit(batch=0, rows=np.arange(2), round_number=0, round_overlap=None), 1.0, 0.1)
    return tally.close(epoch, 2, accuracy=accuracy, nll=0.5, seconds=1)


def test_a_figure_that_is_no_number_is_not_written(tmp_path):
    model, records = build_model(SPEC), (record(1, float("nan")),)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_member(
            make_task(tmp_path), model, Outcome(weights=snapshot(model), best=records[0], records=records)
        )


def test_the_best_weights_are_written_not_the_last(tmp_path):
    best, last = build_model(SPEC), build_model(SPEC)
    records = (record(1, 0.75), record(2, 0.5))
    task = make_task(tmp_path)
    write_member(task, last, Outcome(weights=snapshot(best), best=records[0], records=records))

    loaded, manifest = load_member(task.folder)
    pixels = torch.randint(0, 256, (3, 8, 8, 1), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(loaded(pixels), best.eval()(pixels))
    assert json.loads((task.folder / "member.json").read_text()) == manifest
    assert (manifest["name"], manifest["training"]["seed"]) == ("member-2", 9)
    assert manifest["metrics"] == {"best_epoch": 1, "validation_accuracy": 0.75, "validation_nll": 0.5}
    assert manifest["parameters"] == sum(parameter.numel() for parameter in best.parameters())
