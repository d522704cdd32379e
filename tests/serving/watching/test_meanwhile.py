"""What goes on while files are followed: requests, health, the drain."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from grpc_health.v1 import health_pb2

from cascade.policy import Policy
from serving.jobs import Job
from serving.watching import Watcher, watching
from tests.repositories import Repository
from tests.serving.followed import Followed, followed
from tests.serving.in_process import until
from tests.serving.watching.scenarios import follow, request, write


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
