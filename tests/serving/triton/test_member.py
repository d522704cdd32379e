"""Members in a real Triton give what the embedded runtime gives."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.triton.loading import Triton
from tests.serving.triton.models import COLOURS, MAX_ROWS, Model, load

NAMES = ("image", "mixed", "colours")
TOLERANCE = 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_1_to_the_maximum_are_answered_as_embedded(
    name: str, running: Triton, made: dict[str, Model]
) -> None:
    model = made[name]
    member, embedded, rng = load(running, model), model.embedded(), np.random.default_rng(0)
    for rows in range(1, MAX_ROWS + 1):
        inputs = model.make(rng, rows)
        found, expected = member.run(inputs), embedded.run(inputs)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    assert np.ptp(expected) > 0.1
    assert member.output_datatype == embedded.output_datatype


def test_members_are_told_apart_by_their_keys(running: Triton, made: dict[str, Model]) -> None:
    """A pool each, so that one that hangs keeps no other from its workers."""
    members = [load(running, model) for model in made.values()]
    assert [(member.key, member.pool) for member in members] == [(f"{name}/1",) * 2 for name in made]


@pytest.mark.parametrize("length", [1, 7])
def test_rows_of_any_length(length: int, running: Triton, made: dict[str, Model]) -> None:
    model = made["mixed"]
    inputs = model.make(np.random.default_rng(1), 3)
    inputs["ids"] = np.random.default_rng(2).integers(0, 10, (3, length))
    np.testing.assert_allclose(
        load(running, model).run(inputs), model.embedded().run(inputs), atol=TOLERANCE, rtol=0
    )


def test_every_text_arrives_as_it_is(running: Triton, made: dict[str, Model]) -> None:
    texts = np.array([COLOURS[:2], COLOURS[2:]], object)
    found = load(running, made["colours"]).run({"colour": texts})
    assert found.tolist() == [[0.5 + 7.5, 1 - 10.5, 1.5 - 16.5], [2.25 - 15, 4.5 + 21, 6.75 + 33]]


def test_rows_need_not_lie_in_order(running: Triton, made: dict[str, Model]) -> None:
    """As a slice of a request's rows, or a transposed picture, does not."""
    model = made["image"]
    inputs = model.make(np.random.default_rng(3), 8)
    scattered = {"image": np.asfortranarray(inputs["image"])[::2]}
    in_order = {"image": np.ascontiguousarray(inputs["image"][::2])}
    assert not scattered["image"].flags.c_contiguous
    assert np.array_equal(load(running, model).run(scattered), load(running, model).run(in_order))


def test_eight_threads_get_their_own_answers(running: Triton, made: dict[str, Model]) -> None:
    model = made["image"]
    member, embedded = load(running, model), model.embedded()

    def run(seed: int) -> float:
        inputs = model.make(np.random.default_rng(seed), 1 + seed % 5)
        return float(np.abs(member.run(inputs) - embedded.run(inputs)).max())

    with ThreadPoolExecutor(8) as threads:
        assert max(threads.map(run, range(200))) < TOLERANCE
