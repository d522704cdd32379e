import numpy as np
import pytest

from training.plan import Visit
from training.progress import Progress
from training.records import Tally


def epoch_record(epoch):
    tally = Tally()
    tally.add(Visit(batch=0, rows=np.arange(2), round_number=0, round_overlap=None), 1.25, 0.1)
    return tally.close(epoch, 2, accuracy=0.5, nll=0.7, seconds=3.4)


@pytest.mark.parametrize(
    ("num_epochs", "epochs_told"),
    [(3, [1, 2, 3]), (25, [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]), (1000, list(range(100, 1001, 100)))],
)
def test_without_a_terminal_there_are_ten_lines_at_most(capsys, num_epochs, epochs_told):
    with Progress("member-0", position=0, num_epochs=num_epochs, num_updates=num_epochs) as progress:
        for epoch in range(1, num_epochs + 1):
            progress.epoch(epoch_record(epoch))
    assert capsys.readouterr().err.splitlines() == [
        f"member-0: epoch {epoch}/{num_epochs}, loss 1.250, validation 50.0%, 3 s" for epoch in epochs_told
    ]
