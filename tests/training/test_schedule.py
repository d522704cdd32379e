import pytest

from training.schedule import learning_rate


@pytest.mark.parametrize(
    ("update", "expected"), [(0, 0.4), (25, 0.341421), (50, 0.2), (75, 0.058579), (100, 0)]
)
def test_cosine_falls_to_zero_over_the_budget(update, expected):
    rate = learning_rate(update, schedule="cosine", base=0.4, num_updates=100)
    assert rate == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("update", "expected"), [(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4), (53, 0.2), (103, 0)]
)
def test_warmup_comes_first(update, expected):
    rate = learning_rate(update, schedule="cosine", base=0.4, num_updates=103, warmup_updates=3)
    assert rate == pytest.approx(expected)


@pytest.mark.parametrize("update", [0, 1, 99])
def test_constant_stays(update):
    assert learning_rate(update, schedule="constant", base=0.4, num_updates=100) == 0.4


def test_a_warmup_longer_than_the_budget_never_arrives():
    rates = [
        learning_rate(update, schedule="cosine", base=1.0, num_updates=3, warmup_updates=9)
        for update in range(3)
    ]
    assert rates == pytest.approx([0.1, 0.2, 0.3])
