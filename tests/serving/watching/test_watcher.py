"""Cascade files that change while they are served, on a real engine that is told when to look."""

import asyncio
import logging
import shutil
from dataclasses import replace

import pytest

from cascade.cascade_file import SUFFIX, write_cascade
from export.publish import locked, publish, staging_beside
from tests.repositories import Repository
from tests.serving.followed import Followed, started
from tests.serving.watching.scenarios import follow, request, write


def lines(caplog: pytest.LogCaptureFixture, *levels: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno in levels]


def test_a_file_that_changed_is_loaded_a_new_one_too_and_one_that_is_gone_unloaded(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(it: Followed) -> None:
        write(repository, 2)
        write(repository, 7, name="other")
        await it.look_twice()
        assert it.versions == {"digits": 2, "other": 7}
        repository.file.unlink()
        await it.look_twice()
        assert it.versions == {"other": 7}
        write(repository, 3)
        await it.look_twice()
        assert it.versions == {"digits": 3, "other": 7}
        await it.look_twice()

    follow(repository, scenario)
    assert lines(caplog, logging.INFO) == [
        "loaded digits, version 2",
        "loaded other, version 7",
        "unloaded digits",
        "loaded digits, version 3",
    ]


def test_what_is_served_already_is_not_loaded_again(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(it: Followed) -> None:
        await it.look_twice()
        served = it.engine.registry.cascades["digits"]
        repository.file.touch()
        await it.look_twice()
        assert it.engine.registry.cascades["digits"] is served

    follow(repository, scenario)
    assert lines(caplog, logging.INFO) == []


def test_what_changed_while_the_server_started_is_loaded(repository: Repository) -> None:
    """Between its reading and the first look."""

    async def scenario() -> None:
        async with started(repository.path) as it:
            write(repository, 2)
            await it.look_twice()
            assert it.versions == {"digits": 2}

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.parametrize("content", ["{", '{"format_version": 9}', ""])
def test_a_bad_file_is_refused_once_and_the_old_one_served(
    content: str, repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(it: Followed) -> None:
        served = it.engine.registry.cascades["digits"]
        repository.file.write_text(content)
        for _ in range(3):
            await it.look_twice()
        assert it.engine.registry.cascades["digits"] is served
        assert len(lines(caplog, logging.ERROR)) == 1
        assert (await it.engine.infer(request(repository))).served is served
        repository.file.write_text(content + " ")
        await it.look_twice()
        assert len(lines(caplog, logging.ERROR)) == 2
        write(repository, 2)
        await it.look_twice()
        assert it.versions == {"digits": 2}

    follow(repository, scenario)
    errors = lines(caplog, logging.ERROR)
    assert len(errors) == 2
    assert errors[0].startswith(f"not loaded: {repository.file}: ")
    assert lines(caplog, logging.WARNING) == []


def test_a_file_that_is_being_written_is_waited_for(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(it: Followed) -> None:
        write(repository, 2)
        whole = repository.file.read_text()
        with repository.file.open("w") as file:
            for start in range(0, len(whole), len(whole) // 4):
                file.write(whole[start : start + len(whole) // 4])
                file.flush()
                await it.watcher.follow()
                assert it.versions == {"digits": 1}
        await it.watcher.follow()
        assert it.versions == {"digits": 2}

    follow(repository, scenario)
    assert lines(caplog, logging.ERROR, logging.WARNING) == []


def test_members_that_come_after_their_cascade_are_waited_for(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    """As a copy of a whole repository brings them: refused while they are missing, and tried again."""
    members = repository.path.parent / "members"
    members.mkdir()
    for name in ("digits-1", "digits-2"):
        shutil.copytree(repository.path / name / "1", members / name)

    async def scenario(it: Followed) -> None:
        newer = tuple(
            replace(member, version=1 if member.name == "digits-0" else 2)
            for member in repository.cascade.members
        )
        write(repository, 2, members=newer)
        for _ in range(2):
            await it.look_twice()
        for name in ("digits-1", "digits-2"):
            assert it.versions == {"digits": 1}
            shutil.copytree(members / name, repository.path / name / "2")
            await it.watcher.follow()
        assert it.versions == {"digits": 1}
        await it.watcher.follow()
        assert it.versions == {"digits": 2}

    follow(repository, scenario)
    (error,) = lines(caplog, logging.ERROR)
    assert "member 'digits-1'" in error
    assert "No such file" in error


def test_a_folder_that_cannot_be_seen_changes_nothing(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(it: Followed) -> None:
        away = repository.path.with_name("away")
        repository.path.rename(away)
        for _ in range(3):
            await it.look_twice()
        assert it.versions == {"digits": 1}
        away.rename(repository.path)
        write(repository, 2)
        await it.look_twice()
        assert it.versions == {"digits": 2}

    follow(repository, scenario)
    assert lines(caplog, logging.ERROR) == [f"{repository.path} cannot be watched: No such file or directory"]


def test_a_name_that_cannot_be_served_is_told_once(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(it: Followed) -> None:
        shutil.copy(repository.file, repository.path / f"no name{SUFFIX}")
        for _ in range(3):
            await it.look_twice()
        assert it.versions == {"digits": 1}

    follow(repository, scenario)
    assert lines(caplog, logging.WARNING) == ["the repository holds no cascade 'no name'"]


def test_what_a_client_unloads_or_loads_stays_until_its_file_changes(repository: Repository) -> None:
    async def scenario(it: Followed) -> None:
        await it.engine.unload("digits")
        await it.look_twice()
        assert it.versions == {}
        (repository.path / "digits-2" / "1" / "model.onnx").touch()
        await it.look_twice()
        assert it.versions == {}
        await it.engine.load("digits")
        served = it.engine.registry.cascades["digits"]
        await it.look_twice()
        assert it.engine.registry.cascades["digits"] is served
        write(repository, 2)
        await it.watcher.follow()
        await it.engine.load("digits")  # before the watcher does
        served = it.engine.registry.cascades["digits"]
        await it.look_twice()
        assert it.engine.registry.cascades["digits"] is served
        await it.engine.unload("digits")
        await it.look_twice()
        assert it.versions == {}
        write(repository, 3)
        await it.look_twice()
        assert it.versions == {"digits": 3}
        await it.engine.unload("digits")
        repository.file.unlink()
        await it.look_twice()
        assert it.versions == {}

    follow(repository, scenario)


def test_an_export_is_never_seen_half_done(repository: Repository, caplog: pytest.LogCaptureFixture) -> None:
    """Members of each publication are new ones; what is looked at in between is the old cascade, whole."""

    def publish_next(version: int) -> None:
        members = tuple(replace(member, version=version) for member in repository.cascade.members)
        cascade = replace(repository.cascade, version=version, members=members)
        with staging_beside(repository.path) as staging:
            for member in members:
                shutil.copytree(repository.path / member.name / "1", staging.new / member.name / str(version))
            write_cascade(staging.new / repository.file.name, cascade)
            with locked(repository.path):
                publish(staging, repository.path)

    async def scenario(it: Followed) -> None:
        for version in range(2, 6):
            publishing = asyncio.create_task(asyncio.to_thread(publish_next, version))
            while not publishing.done():
                await it.watcher.follow()
            await publishing
            await it.look_twice()
            assert it.versions == {"digits": version}

    follow(repository, scenario)
    assert lines(caplog, logging.ERROR, logging.WARNING) == []
