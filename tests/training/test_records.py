import csv

import numpy as np
import pytest

from training.plan import Visit
from training.records import Tally, write_records


def visit(batch, round_number, overlap):
    return Visit(batch=batch, rows=np.arange(2), round_number=round_number, round_overlap=overlap)


@pytest.fixture
def epoch():
    tally = Tally()
    for batch, round_number, overlap, loss in [
        (0, 1, 0.5, 2.0),
        (2, 1, 0.5, 4.0),
        (0, 2, 0.25, 1.5),
        (3, 2, 0.25, 0.5),
    ]:
        tally.add(visit(batch, round_number, overlap), loss, 0.1 / (1 + batch))
    return tally


def test_an_epoch_is_summed_up(epoch):
    record = epoch.close(3, 2, accuracy=0.75, nll=0.6, seconds=9.0)
    assert (record.updates, record.samples_forward, record.samples_backward) == (12, 24, 24)
    assert record.train_loss == 2.0
    assert record.learning_rate == 0.025
    assert record.batches_visited == 3
    assert record.selection_overlap == 0.375


def test_accuracy_ranks_before_nll(epoch):
    def rank(accuracy, nll):
        return epoch.close(1, 2, accuracy=accuracy, nll=nll, seconds=0).rank

    assert rank(0.8, 2.0) > rank(0.7, 0.1)
    assert rank(0.8, 0.1) > rank(0.8, 0.2)


def test_the_file_has_a_row_an_epoch(epoch, tmp_path):
    tally = Tally()
    tally.add(visit(0, 0, None), 1.0, 0.1)
    records = [
        tally.close(1, 2, accuracy=0.5, nll=0.7, seconds=1.5),
        epoch.close(2, 2, accuracy=0.6, nll=0.5, seconds=3),
    ]
    write_records(tmp_path / "metrics.csv", records)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first.items()) == [
        ("epoch", "1"),
        ("updates", "1"),
        ("samples_forward", "2"),
        ("samples_backward", "2"),
        ("learning_rate", "0.1"),
        ("train_loss", "1.0"),
        ("validation_accuracy", "0.5"),
        ("validation_nll", "0.7"),
        ("seconds", "1.5"),
        ("batches_visited", "1"),
        ("selection_overlap", ""),
    ]
    assert (second["epoch"], second["selection_overlap"]) == ("2", "0.375")
