"""What a look finds, and what follows from two of them."""

import pytest

from cascade.cascade_file import Cascade
from serving.watching import Found, Look, Stamp, Stamps, look, next_step
from tests.repositories import Repository
from tests.serving.watching.scenarios import write


def stamped(*mtimes: int, cascade: Cascade | None = None) -> Found:
    return Found(tuple(Stamp(mtime, 1, 1) for mtime in mtimes), cascade)


OLD, NEW, MOVED = stamped(1), stamped(2), stamped(2, 3)
FIRST = {"a": OLD.stamps}
STEPS: list[tuple[str, dict[str, Stamps], Look, Look, tuple[str, ...], tuple[str, ...]]] = [
    ("nothing changed", FIRST, {"a": OLD}, {"a": OLD}, (), ()),
    ("changed since the last look", FIRST, {"a": OLD}, {"a": NEW}, (), ()),
    ("changed, and lies still", FIRST, {"a": NEW}, {"a": NEW}, ("a",), ()),
    ("new, and lies still", FIRST, {"a": OLD, "b": NEW}, {"a": OLD, "b": NEW}, ("b",), ()),
    ("new since the last look", FIRST, {"a": OLD}, {"a": OLD, "b": NEW}, (), ()),
    ("not there at one look", FIRST, {"a": OLD}, {}, (), ()),
    ("not there at two", FIRST, {}, {}, (), ("a",)),
    ("back as it was", FIRST, {}, {"a": OLD}, (), ()),
    ("its members change", {"a": NEW.stamps}, {"a": MOVED}, {"a": MOVED}, (), ()),
    ("refused, and its members change", {"a": stamped(2, 2).stamps}, {"a": MOVED}, {"a": MOVED}, ("a",), ()),
    ("refused, and its members change still", {"a": (*NEW.stamps, None)}, {"a": NEW}, {"a": MOVED}, (), ()),
]


@pytest.mark.parametrize(
    ("settled", "before", "now", "load", "unload"),
    [pytest.param(*case[1:], id=case[0]) for case in STEPS],
)
def test_what_follows_from_two_looks(
    settled: dict[str, Stamps], before: Look, now: Look, load: object, unload: object, repository: Repository
) -> None:
    step = next_step({"a": repository.cascade}, settled, before, now)
    assert (step.load, step.unload) == (load, unload)


def test_what_says_what_is_served_is_settled(repository: Repository) -> None:
    found = stamped(5, 6, cascade=repository.cascade)
    step = next_step({"digits": repository.cascade}, {}, {"digits": found}, {"digits": found})
    assert (step.load, step.settled) == ((), {"digits": found.stamps[:1]})


def test_what_was_gone_is_new_when_it_is_back(repository: Repository) -> None:
    step = next_step({}, FIRST, {}, {})
    assert step.settled == {}


def test_a_look_reads_what_changed_and_knows_the_members_files(repository: Repository) -> None:
    first = look(repository.path, {})
    assert first["digits"].cascade == repository.cascade
    assert len(first["digits"].stamps) == 4
    again = look(repository.path, first)
    assert again == first
    assert again["digits"].cascade is first["digits"].cascade
    (repository.path / "digits-1" / "1" / "model.onnx").unlink()
    assert look(repository.path, first)["digits"].stamps[2] is None
    write(repository, 2)
    changed = look(repository.path, first)["digits"].cascade
    assert changed is not None
    assert changed.version == 2
    repository.file.write_text("{")
    assert look(repository.path, first)["digits"].cascade is None
