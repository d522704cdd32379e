"""Versions that were replaced are kept, and come back as the next one."""

import itertools
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cascade.cascade_file import Cascade, read_cascade, write_cascade
from cascade.errors import FormatError
from cascade.versions import (
    MOST_KEPT,
    as_next,
    keep,
    kept_file,
    kept_versions,
    replace_cascade,
    rolled_back,
    sole_writer,
)
from tests.cascade.command_line import error_of, run
from tests.repositories import Repository


def numbered(cascade: Cascade, version: int) -> Cascade:
    """What tells versions apart, besides their number, is who made them."""
    return replace(cascade, version=version, provenance={"made_as": version})


@pytest.fixture
def history(repository: Repository) -> tuple[Path, Cascade]:
    """The file of version 3, with 1 and 2 kept."""
    versions = [numbered(repository.cascade, number) for number in (1, 2, 3)]
    write_cascade(repository.file, versions[0])
    for old, new in itertools.pairwise(versions):
        replace_cascade(repository.file, old, new)
    return repository.file, versions[-1]


def test_what_is_replaced_is_kept(history: tuple[Path, Cascade]) -> None:
    path, now = history
    assert read_cascade(path) == now
    assert kept_versions(path) == [1, 2]
    assert kept_file(path, 2).name == "digits.cascade.v2.json"


@pytest.mark.parametrize(("wanted", "made_as"), [(2, 2), (1, 1)])
def test_an_earlier_version_comes_back_as_the_next(
    wanted: int, made_as: int, history: tuple[Path, Cascade]
) -> None:
    path, now = history
    assert rolled_back(path, now, wanted) == replace(numbered(now, made_as), version=4)


def test_only_the_newest_are_kept(repository: Repository) -> None:
    write_cascade(repository.file, numbered(repository.cascade, 1))
    for version in range(1, MOST_KEPT + 4):
        replace_cascade(
            repository.file, numbered(repository.cascade, version), numbered(repository.cascade, version + 1)
        )
    assert kept_versions(repository.file) == list(range(4, MOST_KEPT + 4))


def test_what_was_not_kept_is_refused_with_what_was(history: tuple[Path, Cascade]) -> None:
    path, now = history
    with pytest.raises(FormatError, match=r"version 7 of 'digits' was not kept; kept are 1, 2$"):
        rolled_back(path, now, 7)
    kept_file(path, 2).write_text(kept_file(path, 1).read_text())
    with pytest.raises(FormatError, match=r"^digits\.cascade\.v2\.json: holds version 1 of 'digits'"):
        rolled_back(path, now, 2)


def test_what_others_wrote_meanwhile_is_not_replaced(history: tuple[Path, Cascade]) -> None:
    path, now = history
    theirs = numbered(now, 4)
    write_cascade(path, theirs)
    with pytest.raises(FormatError, match="was changed by others meanwhile"):
        replace_cascade(path, now, numbered(now, 4))
    assert (read_cascade(path), kept_versions(path)) == (theirs, [1, 2])


def test_who_replaces_a_cascade_waits_for_others(history: tuple[Path, Cascade]) -> None:
    path, now = history
    with sole_writer(path.parent):
        waiting = threading.Thread(target=replace_cascade, args=(path, now, numbered(now, 4)))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert read_cascade(path) == now
    waiting.join(10)
    assert read_cascade(path) == numbered(now, 4)


def test_a_number_is_given_out_once(history: tuple[Path, Cascade]) -> None:
    """Version 1 was put back by hand, and 2 and 3 had been."""
    path, now = history
    keep(path, now)
    first = numbered(now, 1)
    write_cascade(path, first)
    assert as_next(path, replace(first, version=2)).version == 4
    replace_cascade(path, first, replace(first, version=2))
    assert read_cascade(path) == replace(first, version=4)
    assert kept_versions(path) == [1, 2, 3]


def test_files_of_other_cascades_are_not_taken_for_versions(history: tuple[Path, Cascade]) -> None:
    path, now = history
    write_cascade(path.with_name("my-digits.cascade.v9.json"), now)
    write_cascade(path.with_name("digits.cascade.v09.json"), now)
    assert kept_versions(path) == [1, 2]


def test_rollback_on_the_command_line(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    file, first = repository.file, repository.cascade
    assert "version 0 of 'digits' was not kept; none is" in error_of(capsys, "rollback", file)
    run(capsys, "gears", file, "window", "first")
    listed = run(capsys, "rollback", file, "--list").splitlines()
    policies = "policies window (default), threshold, agreement, first, full"
    assert re.fullmatch(rf"version 1, until 20\d\d-.*: {re.escape(policies)}", listed[0])
    assert listed[1:] == [f"version 2, now: {policies}; gears window, first"]
    assert run(capsys, "rollback", file) == "digits is at version 3, which is as version 1 was\n"
    assert read_cascade(file) == replace(first, version=3)
    run(capsys, "rollback", file)
    assert read_cascade(file).gears == ("window", "first")
    good = file.read_text()
    file.write_text("{")
    refused = error_of(capsys, "rollback", file)
    assert "not JSON" in refused
    assert "digits.cascade.v3.json, the newest that was kept, can be copied to its place" in refused
    file.write_text(good)
    assert f"{file}: version 9 of 'digits'" in error_of(capsys, "rollback", file, "--version", "9")
