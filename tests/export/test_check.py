import numpy as np
import pytest

from export.check import Differences, measure
from export.errors import CheckError
from export.logits import Images, Logits, in_batches

IMAGES = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)


def honest(images: Images) -> Logits:
    """Class 1 from pixel 50 on."""
    values = images.reshape(-1, 1).astype(np.float32)
    return np.concatenate([49.5 - values, values - 49.5], axis=1)


def biased(images: Images) -> Logits:
    return honest(images) + np.array([0, 4], np.float32)


def one_lie(images: Images) -> Logits:
    logits = honest(images)
    logits[images.reshape(-1) == 99] += [4, 0]
    return logits


def moody(images: Images) -> Logits:
    """Right in company, wrong alone."""
    return honest(images) + np.float32(0.5 if len(images) == 1 else 0)


def broken(images: Images) -> Logits:
    return honest(images) * np.float32(np.nan)


def test_batches_lose_no_row_and_keep_the_order() -> None:
    for batch_size in (1, 7, 64, 1000):
        np.testing.assert_array_equal(in_batches(honest, IMAGES, batch_size), honest(IMAGES))


def test_equal_outputs_differ_by_nothing() -> None:
    found, logits = measure(honest, honest, IMAGES)
    assert found == Differences(rows=100, max=0, mean=0, changed=0, max_by_batch=0)
    np.testing.assert_array_equal(logits, honest(IMAGES))
    found.check_within(0)


def test_a_bias_is_measured_and_the_outputs_are_the_files() -> None:
    found, logits = measure(honest, biased, IMAGES)
    # Of the rows of class 0, those of pixels 48 and 49 are less than 4 apart from class 1.
    assert (found.max, found.mean, found.changed, found.max_by_batch) == (4, 2, 0.02, 0)
    np.testing.assert_array_equal(logits, biased(IMAGES))


def test_a_single_row_counts_wherever_it_stands() -> None:
    found, _ = measure(honest, one_lie, IMAGES)
    assert (found.max, found.mean) == (4, 4 / 200)


def test_rows_alone_are_compared_with_rows_among_others() -> None:
    found, _ = measure(honest, moody, IMAGES)
    assert (found.max, found.max_by_batch) == (0, 0.5)
    with pytest.raises(CheckError, match=r"max 5\.0e-01 between batches"):
        found.check_within(0.1)
    found.check_within(0.5)


def test_figures_are_in_the_refusal() -> None:
    found, _ = measure(honest, biased, IMAGES)
    figures = r"max 4\.0e\+00, mean 2\.0e\+00, 2\.00% of predictions changed on 100 rows"
    with pytest.raises(CheckError, match=rf"{figures}.*maximum allowed is 0\.001"):
        found.check_within(1e-3)


def test_outputs_that_are_no_numbers_are_within_nothing() -> None:
    for model, exported in ((broken, broken), (broken, honest), (honest, broken)):
        found, _ = measure(model, exported, IMAGES)
        with pytest.raises(CheckError, match="max nan"):
            found.check_within(1e9)
