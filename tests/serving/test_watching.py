"""Cascade files that change while they are served, on a real engine that is told when to look."""

import asyncio
import gc
import logging
import shutil
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from cascade.cascade_file import SUFFIX, Cascade, write_cascade
from cascade.policy import Policy
from export.publish import locked, publish, staging_beside
from serving.config import Limits, SchedulerConfig
from serving.engine import Engine
from serving.grpc.health import HealthService
from serving.jobs import Job
from serving.loading import Loader, read_cascades
from serving.messages import InferRequest
from serving.watching import Found, Look, Stamp, Stamps, Watcher, look, next_step, watching
from tests.repositories import Repository, make_repository
from tests.serving.followed import Followed, followed
from tests.serving.in_process import until


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make_repository(tmp_path_factory.mktemp("made") / "repository")


@pytest.fixture
def repository(made: Repository, tmp_path: Path) -> Repository:
    shutil.copytree(made.path, tmp_path / "repository")
    return replace(made, path=tmp_path / "repository")


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, "exitgate"):
        yield


Scenario = Callable[[Followed], Coroutine[None, None, None]]


def follow(repository: Repository, scenario: Scenario, seconds: float = 30.0) -> None:
    async def whole() -> None:
        async with followed(repository.path) as it:
            await scenario(it)

    asyncio.run(asyncio.wait_for(whole(), seconds))


def lines(caplog: pytest.LogCaptureFixture, *levels: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno in levels]


def write(repository: Repository, version: int, name: str = "digits", **changes: Any) -> Cascade:
    cascade = replace(repository.cascade, name=name, version=version, **changes)
    write_cascade(repository.path / f"{name}{SUFFIX}", cascade)
    return cascade


def request(repository: Repository, rows: int = 1, policy: str = "full") -> InferRequest:
    image = np.resize(repository.test.image, (rows, 8, 8, 1))
    return InferRequest("digits", "", {"image": image}, {"image": "UINT8"}, parameters={"policy": policy})


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
    settled: dict[str, Stamps], before: Look, now: Look, load: object, unload: object, made: Repository
) -> None:
    step = next_step({"a": made.cascade}, settled, before, now)
    assert (step.load, step.unload) == (load, unload)


def test_what_says_what_is_served_is_settled(made: Repository) -> None:
    found = stamped(5, 6, cascade=made.cascade)
    step = next_step({"digits": made.cascade}, {}, {"digits": found}, {"digits": found})
    assert (step.load, step.settled) == ((), {"digits": found.stamps[:1]})


def test_what_was_gone_is_new_when_it_is_back(made: Repository) -> None:
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
        "loaded digits",
        "loaded other",
        "unloaded digits",
        "loaded digits",
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
        loader = Loader(repository.path, 8)
        engine = Engine(loader.load_all(read_cascades(repository.path)), SchedulerConfig(), Limits(), loader)
        engine.start()
        write(repository, 2)
        it = Followed(
            engine,
            Watcher(engine, repository.path, reload_s=60, changed=lambda: None),
            HealthService(engine),
        )
        await it.look_twice()
        engine.stop()
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


def test_a_request_under_way_keeps_its_version_and_old_members_go_with_the_last_of_them(
    repository: Repository,
) -> None:
    async def scenario(it: Followed) -> None:
        old = it.engine.registry.cascades["digits"]
        kept = old.slots[0]
        members = [weakref.ref(member) for member in old.slots]
        sessions = [weakref.ref(member._session) for member in old.slots]  # type: ignore[attr-defined]
        del old
        running: asyncio.Task[Job] = asyncio.create_task(it.engine.infer(request(repository, 4000)))
        two = {"members": repository.cascade.members[:2], "stages": repository.cascade.stages[:2]}
        full = {"full": Policy(kind="full", num_stages=2)}
        write(repository, 2, policies=full, default_policy="full", **two)
        await it.look_twice()
        assert it.versions == {"digits": 2}
        assert not running.done()
        newer = await it.engine.infer(request(repository))
        assert (newer.served.version, set(newer.answer.exit_stage.tolist())) == ("2", {2})
        assert it.engine.registry.cascades["digits"].slots[0] is kept
        assert members[2]() is not None
        job = await running
        assert (job.served.version, set(job.answer.exit_stage.tolist())) == ("1", {3})
        del job, running, newer
        await it.engine.infer(request(repository))  # a worker may hold its last batch until the next
        gc.collect()
        assert [ref() is None for ref in (*members, *sessions)] == [False, False, True, False, False, True]

    follow(repository, scenario)


def test_health_follows(repository: Repository) -> None:
    async def scenario(it: Followed) -> None:
        watch = it.health.Watch(health_pb2.HealthCheckRequest(service="digits"), None)
        told = [(await anext(watch)).status]
        for change in (repository.file.unlink, lambda: write(repository, 2)):
            change()
            await it.look_twice()
            told.append((await anext(watch)).status)
        await watch.aclose()  # type: ignore[attr-defined]
        status = health_pb2.HealthCheckResponse
        assert told == [status.SERVING, status.SERVICE_UNKNOWN, status.SERVING]

    follow(repository, scenario)


def test_it_watches_by_itself_and_ends_with_the_drain(repository: Repository) -> None:
    async def scenario() -> None:
        async with followed(repository.path, reload_s=0.01) as it:
            running = asyncio.create_task(it.watcher.run())
            write(repository, 2)
            await until(lambda: it.versions == {"digits": 2})
            await it.engine.drain()
            await asyncio.wait_for(running, 5)

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_it_watches_for_as_long_as_it_is_asked_to(repository: Repository) -> None:
    async def scenario(it: Followed) -> None:
        async with watching(it.engine, repository.path, reload_s=0.01, changed=lambda: None):
            write(repository, 2)
            await until(lambda: it.versions == {"digits": 2})
        write(repository, 3)
        await asyncio.sleep(0.2)
        assert it.versions == {"digits": 2}
        async with watching(it.engine, repository.path, reload_s=0, changed=lambda: None):
            await asyncio.sleep(0.2)
        assert it.versions == {"digits": 2}

    follow(repository, scenario)


class SlowFolder(type(Path())):  # type: ignore[misc]
    """A folder whose listing takes until it is told."""

    may_list = threading.Event()

    def iterdir(self) -> Iterator[Path]:
        assert self.may_list.wait(10)
        return super().iterdir()


def test_a_slow_disk_holds_nobody_up(repository: Repository) -> None:
    async def scenario(it: Followed) -> None:
        watcher = Watcher(it.engine, SlowFolder(repository.path), reload_s=60, changed=lambda: None)
        looking = asyncio.create_task(watcher.follow())
        assert (await it.engine.infer(request(repository))).served.version == "1"
        assert not looking.done()
        SlowFolder.may_list.set()
        await looking

    follow(repository, scenario)
