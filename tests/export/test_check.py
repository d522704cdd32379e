import numpy as np
import pytest

from export.bounds import Bounds
from export.check import Differences, measure
from export.errors import CheckError
from export.rows import Feeds, Outputs, Rows, run_over

IMAGES = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
ROWS = Rows(inputs={"image": IMAGES}, labels=np.zeros(100, np.int64))


def within(difference: float, changed: float = 1) -> Bounds:
    return Bounds(max_difference=difference, max_changed=changed)


def honest(feeds: Feeds) -> Outputs:
    """Class 1 from pixel 50 on."""
    values = feeds["image"].reshape(-1, 1).astype(np.float32)
    return np.concatenate([49.5 - values, values - 49.5], axis=1)


def biased(feeds: Feeds) -> Outputs:
    return honest(feeds) + np.array([0, 4], np.float32)


def one_lie(feeds: Feeds) -> Outputs:
    logits = honest(feeds)
    logits[feeds["image"].reshape(-1) == 99] += [4, 0]
    return logits


def moody(feeds: Feeds) -> Outputs:
    """Right in company, wrong alone."""
    return honest(feeds) + np.float32(0.5 if len(feeds["image"]) == 1 else 0)


def broken(feeds: Feeds) -> Outputs:
    return honest(feeds) * np.float32(np.nan)


def test_batches_lose_no_row_and_keep_the_order() -> None:
    for batch_size in (1, 7, 64, 1000):
        np.testing.assert_array_equal(run_over(honest, ROWS, batch_size), honest({"image": IMAGES}))


def test_equal_outputs_differ_by_nothing() -> None:
    found, logits = measure(honest, honest, ROWS)
    assert found == Differences(rows=100, max=0, mean=0, changed=0, max_by_batch=0)
    np.testing.assert_array_equal(logits, honest({"image": IMAGES}))
    found.check_within(within(0))


def test_a_bias_is_measured_and_the_outputs_are_the_files() -> None:
    found, logits = measure(honest, biased, ROWS)
    # Of the rows of class 0, those of pixels 48 and 49 are less than 4 apart from class 1.
    assert (found.max, found.mean, found.changed, found.max_by_batch) == (4, 2, 0.02, 0)
    np.testing.assert_array_equal(logits, biased({"image": IMAGES}))


def test_a_single_row_counts_wherever_it_stands() -> None:
    found, _ = measure(honest, one_lie, ROWS)
    assert (found.max, found.mean) == (4, 4 / 200)


def test_rows_alone_are_compared_with_rows_among_others() -> None:
    found, _ = measure(honest, moody, ROWS)
    assert (found.max, found.max_by_batch) == (0, 0.5)
    with pytest.raises(CheckError, match=r"max 5\.0e-01 between batches"):
        found.check_within(within(0.1))
    found.check_within(within(0.5))


def test_figures_are_in_the_refusal() -> None:
    found, _ = measure(honest, biased, ROWS)
    figures = r"max 4\.0e\+00, mean 2\.0e\+00, 2\.00% of predictions changed on 100 rows"
    with pytest.raises(CheckError, match=rf"{figures}.*maximum allowed is 0\.001"):
        found.check_within(within(1e-3))


def test_outputs_that_are_no_numbers_are_within_nothing() -> None:
    found, _ = measure(honest, broken, ROWS)
    with pytest.raises(CheckError, match="max nan"):
        found.check_within(within(1e9))


def test_a_model_that_gives_no_numbers_is_itself_to_blame() -> None:
    for exported in (broken, honest):
        with pytest.raises(CheckError, match=r"the model itself gives .* no finite numbers \(row 0\)"):
            measure(broken, exported, ROWS)
