import numpy as np
import pytest

from training.budget import Budget, Spent
from training.plan import Visit
from training.progress import Progress
from training.records import Tally


def epoch_record(epoch):
    tally = Tally(visits_before=np.zeros(4, dtype=np.int64))
    visit = Visit(rows=np.arange(2), round_number=0, round_overlap=None)
    tally.add(visit, loss=1.25, accuracy=0.5, learning_rate=0.1)
    spent = Spent(updates=epoch, seconds=3.4)
    return tally.close(epoch, spent, np.ones(4, dtype=np.int64), accuracy=0.5, nll=0.7)


def lines(num_epochs, tenths):
    return [
        f"member-0: epoch {epoch}, {share}%, loss 1.250, validation 50.0%, 3 s" for epoch, share in tenths
    ]


@pytest.mark.parametrize(
    ("num_epochs", "told"),
    [
        (3, [(1, 30), (2, 60), (3, 100)]),
        (
            25,
            [
                (3, 10),
                (5, 20),
                (8, 30),
                (10, 40),
                (13, 50),
                (15, 60),
                (18, 70),
                (20, 80),
                (23, 90),
                (25, 100),
            ],
        ),
        (1000, [(epoch, epoch // 10) for epoch in range(100, 1001, 100)]),
    ],
)
def test_without_a_terminal_there_are_ten_lines_at_most(capsys, num_epochs, told):
    with Progress("member-0", position=0, budget=Budget(unit="updates", amount=num_epochs)) as progress:
        for epoch in range(1, num_epochs + 1):
            spent = Spent(updates=epoch)
            progress.update(spent)
            progress.epoch(epoch_record(epoch), spent)
    assert capsys.readouterr().err.splitlines() == lines(num_epochs, told)


@pytest.mark.parametrize(
    ("unit", "spent"),
    [("samples", Spent(updates=9, samples_forward=70)), ("seconds", Spent(updates=9, seconds=70.0))],
)
def test_the_way_is_that_of_the_budget(capsys, unit, spent):
    with Progress("member-0", position=0, budget=Budget(unit=unit, amount=100)) as progress:
        progress.epoch(epoch_record(1), spent)
    assert capsys.readouterr().err.splitlines() == lines(1, [(1, 70)])


def test_more_than_the_budget_is_all_of_it(capsys):
    with Progress("member-0", position=0, budget=Budget(unit="samples", amount=100)) as progress:
        progress.epoch(epoch_record(1), Spent(samples_forward=130))
    assert capsys.readouterr().err.splitlines() == lines(1, [(1, 100)])
