import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.budget import Spent
from training.logs import Logs
from training.loop import Update
from training.plan import Visit
from training.records import EpochRecord

HEADER = "update,round,loss,accuracy,learning_rate,samples_forward,samples_backward,seconds"


def update(number, loss=0.5):
    return Update(
        visit=Visit(rows=np.arange(2), round_number=number // 4, round_overlap=None),
        loss=loss,
        accuracy=0.25,
        learning_rate=0.1,
        spent=Spent(updates=number, samples_forward=8 * number, samples_backward=2 * number, seconds=0.5),
    )


def epoch(number, overlap=None):
    return EpochRecord(
        epoch=number,
        updates=4 * number,
        samples_forward=8,
        samples_backward=8,
        learning_rate=0.1,
        train_loss=1.0 / number,
        train_accuracy=0.5,
        validation_accuracy=0.75,
        validation_nll=0.5,
        seconds=1.0,
        rows_visited=8,
        visits_min=1,
        visits_max=1,
        selection_overlap=overlap,
    )


def lines(folder):
    return (folder / "updates.csv").read_text().splitlines()


def scalars(folder, tag):
    """As TensorBoard shows them."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, pytest.approx(event.value)) for event in events.Scalars(tag)]


def test_an_update_is_a_line_and_a_point(tmp_path):
    with Logs(tmp_path, num_batches=4) as logs:
        for number in (1, 2):
            logs.update(update(number, loss=1 / 3))
    assert lines(tmp_path) == [
        HEADER,
        "1,0,0.333333333,0.25,0.1,8,2,0.500000",
        "2,0,0.333333333,0.25,0.1,16,4,0.500000",
    ]
    assert scalars(tmp_path, "update/loss") == [(1, 1 / 3), (2, 1 / 3)]
    assert scalars(tmp_path, "update/learning_rate") == [(1, 0.1), (2, 0.1)]


def test_an_epoch_of_many_updates_has_twenty_points(tmp_path):
    with Logs(tmp_path, num_batches=100) as logs:
        for number in range(1, 101):
            logs.update(update(number))
    assert [step for step, _ in scalars(tmp_path, "update/accuracy")] == list(range(5, 101, 5))
    assert len(lines(tmp_path)) == 101


def test_epochs_are_a_table_and_points(tmp_path):
    with Logs(tmp_path, num_batches=4) as logs:
        logs.epochs([epoch(1)])
        logs.epochs([epoch(1), epoch(2, overlap=0.5)])
    table = (tmp_path / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["epoch", "1", "2"]
    assert scalars(tmp_path, "epoch/train_loss") == [(4, 1.0), (8, 0.5)]
    assert scalars(tmp_path, "epoch/selection_overlap") == [(8, 0.5)]


def test_gone_on_with_the_file_is_cut_to_the_checkpoint(tmp_path):
    with Logs(tmp_path, num_batches=4) as logs:
        logs.update(update(1))
        logs.update(update(2))
        lengths = logs.sync()
        logs.update(update(3))
    assert lengths == {"updates.csv": len("\r\n".join(lines(tmp_path)[:3])) + 2}
    with Logs(tmp_path, num_batches=4, start=2, lengths=lengths) as logs:
        logs.update(update(3, loss=0.75))
        logs.update(update(4))
    assert [line.split(",")[:3] for line in lines(tmp_path)[1:]] == [
        ["1", "0", "0.5"],
        ["2", "0", "0.5"],
        ["3", "0", "0.75"],
        ["4", "1", "0.5"],
    ]
    assert scalars(tmp_path, "update/loss") == [(1, 0.5), (2, 0.5), (3, 0.75), (4, 0.5)]


def test_begun_anew_nothing_is_left_of_before(tmp_path):
    for loss in (0.25, 0.75):
        with Logs(tmp_path, num_batches=4) as logs:
            logs.update(update(1, loss=loss))
    assert [line.split(",")[2] for line in lines(tmp_path)] == ["loss", "0.75"]
    assert scalars(tmp_path, "update/loss") == [(1, 0.75)]


def test_what_is_synced_is_on_the_disk(tmp_path):
    with Logs(tmp_path, num_batches=4) as logs:
        logs.update(update(1))
        assert lines(tmp_path) == []
        logs.sync()
        assert len(lines(tmp_path)) == 2
        assert scalars(tmp_path, "update/loss") == [(1, 0.5)]


def test_both_files_are_closed_where_one_can_not_be(tmp_path):
    (tmp_path / "updates.csv").symlink_to("/dev/full")
    logs = Logs(tmp_path, num_batches=4)
    with pytest.raises(OSError, match="No space left on device"), logs:
        logs.update(update(1))
    assert scalars(tmp_path, "update/loss") == [(1, 0.5)]
