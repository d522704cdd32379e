"""Chunks cover every row once, in order; results and exceptions come out in their turn."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.chunks import CHUNK_ELEMENTS, map_rows, row_chunks

threaded = pytest.mark.skipif(os.cpu_count() == 1, reason="a single core works on its own thread")


@given(num_rows=st.integers(0, 5000), num_classes=st.integers(1, 3000), chunk_rows=st.integers(1, 400))
def test_every_row_is_in_one_chunk(num_rows: int, num_classes: int, chunk_rows: int) -> None:
    for chunks in (row_chunks(num_rows, num_classes), row_chunks(num_rows, num_classes, chunk_rows)):
        assert [row for chunk in chunks for row in range(chunk.start, chunk.stop)] == list(range(num_rows))


def test_chunks_are_sized_by_the_classes() -> None:
    assert row_chunks(600, 1000) == [slice(0, 262), slice(262, 524), slice(524, 600)]
    assert row_chunks(3, CHUNK_ELEMENTS * 2) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert row_chunks(5, 10, chunk_rows=2) == [slice(0, 2), slice(2, 4), slice(4, 5)]


def test_a_chunk_has_a_row_or_more() -> None:
    with pytest.raises(ValueError, match="chunk_rows must be 1 or more, got 0"):
        row_chunks(5, 10, chunk_rows=0)


@threaded
def test_results_come_in_order_whoever_ends_first() -> None:
    """The first chunk ends only after the second has."""
    second_is_done = threading.Event()

    def begin_of(rows: slice) -> int:
        if rows.start == 0:
            assert second_is_done.wait(10)
        if rows.start == 2:
            second_is_done.set()
        return int(rows.start)

    assert list(map_rows(begin_of, 5, 10, chunk_rows=2)) == [0, 2, 4]


def test_a_single_chunk_runs_on_the_callers_thread() -> None:
    assert list(map_rows(lambda rows: threading.get_ident(), 8, 10)) == [threading.get_ident()]


@threaded
def test_several_chunks_run_on_others() -> None:
    assert threading.get_ident() not in map_rows(lambda rows: threading.get_ident(), 8, 10, chunk_rows=1)


def test_no_rows_are_no_chunks() -> None:
    assert list(map_rows(lambda rows: rows, 0, 10)) == []


def test_an_exception_comes_in_its_chunks_turn_and_ends_the_work() -> None:
    seen: list[int] = []

    def fail_at_3(rows: slice) -> int:
        seen.append(rows.start)
        if rows.start == 3:
            raise RuntimeError("row 3")
        return int(rows.start)

    results = map_rows(fail_at_3, 1000, 10, chunk_rows=1)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="row 3"):
        next(results)
    assert len(seen) < 20


def test_work_keeps_only_a_little_ahead() -> None:
    seen: list[int] = []
    results = map_rows(lambda rows: seen.append(rows.start), 1000, 10, chunk_rows=1)
    next(results)
    results.close()
    assert len(seen) < 20
