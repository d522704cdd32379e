import csv
import json
import math

import numpy as np
import pytest

from training.budget import Spent
from training.plan import Visit
from training.records import Tally, csv_text, write_records


def visit(round_number, overlap):
    return Visit(rows=np.arange(2), round_number=round_number, round_overlap=overlap)


@pytest.fixture
def epoch():
    """Four updates in two rounds, of rows that had 1, 1, 0, 2 visits before."""
    tally = Tally(visits_before=np.array([1, 1, 0, 2]))
    for round_number, overlap, loss, accuracy, rate in [
        (1, 0.5, 2.0, 0.5, 0.4),
        (1, 0.5, 4.0, 0.0, 0.3),
        (2, 0.25, 1.5, 1.0, 0.2),
        (2, 0.25, 0.5, 0.5, 0.1),
    ]:
        tally.add(visit(round_number, overlap), loss, accuracy, rate)
    return tally


def close(tally, epoch=3, accuracy=0.75, nll=0.6, visits=(3, 1, 4, 2)):
    spent = Spent(updates=12, samples_forward=48, samples_backward=24, seconds=9.5)
    return tally.close(epoch, spent, np.array(visits), accuracy=accuracy, nll=nll)


def test_an_epoch_is_summed_up(epoch):
    record = close(epoch)
    assert (record.epoch, record.updates, record.samples_forward, record.samples_backward) == (3, 12, 48, 24)
    assert (record.train_loss, record.train_accuracy, record.learning_rate) == (2.0, 0.5, 0.1)
    assert (record.validation_accuracy, record.validation_nll, record.seconds) == (0.75, 0.6, 9.5)
    # Rows 0 and 2 have been visited since, each round's overlap counts once.
    assert (record.rows_visited, record.visits_min, record.visits_max) == (2, 1, 4)
    assert record.selection_overlap == 0.375


def test_accuracy_ranks_before_nll(epoch):
    def rank(accuracy, nll):
        return close(epoch, accuracy=accuracy, nll=nll).rank

    assert rank(0.8, 2.0) > rank(0.7, 0.1)
    assert rank(0.8, 0.1) > rank(0.8, 0.2)


def test_half_an_epoch_survives_json(epoch):
    document = json.loads(json.dumps(epoch.document(), allow_nan=False))
    assert close(Tally.from_document(document, epoch.visits_before)) == close(epoch)
    fresh = Tally.from_document(json.loads(json.dumps(Tally(visits_before=0).document(), allow_nan=False)), 0)
    assert (fresh.num_updates, fresh.overlaps, math.isnan(fresh.learning_rate)) == (0, {}, True)


def test_the_file_has_a_row_an_epoch(epoch, tmp_path):
    first = Tally(visits_before=np.zeros(4, dtype=np.int64))
    first.add(visit(0, None), 1.0, 0.25, 0.1)
    write_records(tmp_path / "metrics.csv", [close(first, epoch=1, visits=(1, 1, 0, 0)), close(epoch)])
    with (tmp_path / "metrics.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first.items()) == [
        ("epoch", "1"),
        ("updates", "12"),
        ("samples_forward", "48"),
        ("samples_backward", "24"),
        ("learning_rate", "0.1"),
        ("train_loss", "1.0"),
        ("train_accuracy", "0.25"),
        ("validation_accuracy", "0.75"),
        ("validation_nll", "0.6"),
        ("seconds", "9.5"),
        ("rows_visited", "2"),
        ("visits_min", "0"),
        ("visits_max", "1"),
        ("selection_overlap", ""),
    ]
    assert (second["epoch"], second["selection_overlap"]) == ("3", "0.375")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_lines_end_as_csv_has_it():
    assert csv_text([("a", 1), ("b", 0.5)]) == b"a,1\r\nb,0.5\r\n"
