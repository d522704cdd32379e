import pytest

from training.schedule import learning_rate


def rate(progress, schedule="cosine", warmup=0.0):
    return learning_rate(progress, schedule=schedule, base=0.4, warmup=warmup)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0, 0.4), (0.25, 0.341421), (0.5, 0.2), (0.75, 0.058579), (1, 0)]
)
def test_cosine_falls_to_zero_over_the_budget(progress, expected):
    assert rate(progress) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize(("progress", "expected"), [(0, 0.004), (0.05, 0.103), (0.1, 0.202), (0.2, 0.4)])
def test_warmup_rises_in_a_line_from_a_hundredth(schedule, progress, expected):
    assert rate(progress, schedule, warmup=0.2) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.2, 0.4), (0.4, 0.341421), (0.6, 0.2), (0.8, 0.058579), (1, 0)]
)
def test_after_warmup_cosine_has_the_rest_of_the_budget(progress, expected):
    assert rate(progress, warmup=0.2) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("progress", [0, 0.3, 0.99])
def test_constant_stays(progress):
    assert rate(progress, "constant") == 0.4


def test_the_last_of_many_updates_still_moves_the_weights():
    assert 0 < rate(999 / 1000) < 1e-5
