"""Cascade files that change are loaded, new ones too, and those that are gone are unloaded.

By looking at them now and then, which works on any file system. What is still being written changes from one
look to the next, and is waited for: the file itself, and the members' files that it names. What was refused
is tried again once any of these changes; what was not, once the file itself does.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cascade.cascade_file import SUFFIX, Cascade, read_cascade
from cascade.errors import CascadeError
from serving.engine import Engine
from serving.errors import InvalidRequest, RequestError

log = logging.getLogger("exitgate")
Stamps = tuple["Stamp | None", ...]
"""Of a cascade file, then of its members' files, None where one is missing."""


@dataclass(frozen=True, slots=True)
class Stamp:
    mtime_ns: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class Found:
    """A cascade file at one look. `cascade` is None where the file is bad."""

    stamps: Stamps
    cascade: Cascade | None = field(compare=False)


Look = Mapping[str, Found]
"""What was found, by the cascade's name."""


def look(repository: Path, before: Look) -> Look:
    """A file is read only where it is not as it was `before`. OSError where one cannot see what is there."""
    found = {}
    for file in sorted(repository.iterdir()):
        if file.name.endswith(SUFFIX):
            name = file.name.removesuffix(SUFFIX)
            with suppress(FileNotFoundError):  # gone since it was listed
                found[name] = _found(file, before.get(name))
    return found


def _found(file: Path, before: Found | None) -> Found:
    stamp = _stamp(file)
    cascade = before.cascade if before is not None and before.stamps[:1] == (stamp,) else _read(file)
    members = () if cascade is None else cascade.members
    return Found((stamp, *(_member_stamp(file.parent / member.file) for member in members)), cascade)


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return Stamp(status.st_mtime_ns, status.st_size, status.st_ino)


def _member_stamp(path: Path) -> Stamp | None:
    try:
        return _stamp(path)
    except OSError:  # why is told where it is loaded
        return None


def _read(file: Path) -> Cascade | None:
    try:
        return read_cascade(file)
    except CascadeError:  # why is told where it is loaded
        return None


@dataclass(frozen=True)
class Step:
    """What to load and unload. `settled` are the files that ask for nothing while their first stamps, those
    here, stay as they are: one, or all where loading it is refused."""

    load: tuple[str, ...]
    unload: tuple[str, ...]
    settled: dict[str, Stamps]


def next_step(served: Mapping[str, Cascade], settled: Mapping[str, Stamps], before: Look, now: Look) -> Step:
    """From what is served and two looks.

    - A file that says what is served, or is settled, asks for nothing; so what a client loaded or unloaded
      stays, and what was refused is not tried again.
    - Any other is loaded if it lay still from one look to the next.
    - What is served and was found in neither look is unloaded.
    """
    changed = {name for name, found in now.items() if not _is_settled(found, settled.get(name))}
    same = {name for name in changed if name in served and served[name] == now[name].cascade}
    load = tuple(sorted(name for name in changed - same if now[name] == before.get(name)))
    there = now.keys() | before.keys()
    kept = {name: stamps for name, stamps in settled.items() if name in there}
    return Step(
        load=load,
        unload=tuple(sorted(served.keys() - there)),
        settled=kept | {name: now[name].stamps[:1] for name in (*same, *load)},
    )


def _is_settled(found: Found, stamps: Stamps | None) -> bool:
    return stamps is not None and found.stamps[: len(stamps)] == stamps


class Watcher:
    """`changed` is called whenever what is served may have changed."""

    def __init__(
        self, engine: Engine, repository: Path, *, reload_s: float, changed: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._repository = repository
        self._reload_s = reload_s
        self._changed = changed
        self._settled: dict[str, Stamps] = {}
        # As if seen at the start, though not how it lay there: nothing of it lies still, nor is gone.
        self._before: Look = {name: Found((), cascade) for name, cascade in self._served().items()}
        self._trouble = ""

    async def run(self) -> None:
        """For as long as requests are taken. What is being loaded when this is cancelled is not served."""
        while self._engine.is_accepting:
            await self.follow()
            await asyncio.sleep(self._reload_s)

    async def follow(self) -> None:
        """Look once, and do what follows."""
        served = self._served()  # as of before the look: what is loaded meanwhile it may not have seen
        try:
            now = await asyncio.to_thread(look, self._repository, self._before)
        except OSError as error:
            self._complain(f"{self._repository} cannot be watched: {error.strerror}")
            return
        self._trouble = ""
        step = next_step(served, self._settled, self._before, now)
        self._before, self._settled = now, step.settled
        for name in step.load:
            if not await self._is_done(self._engine.load, name):
                self._settled[name] = now[name].stamps
        for name in step.unload:
            if self._served().get(name) is served[name]:
                await self._is_done(self._engine.unload, name)

    def _served(self) -> dict[str, Cascade]:
        return {name: served.cascade for name, served in self._engine.registry.cascades.items()}

    async def _is_done(self, act: Callable[[str], Awaitable[None]], name: str) -> bool:
        try:
            await act(name)
            return True
        except InvalidRequest:
            pass  # the engine's log has said why, with paths
        except RequestError as error:
            log.warning("%s", error)
        except Exception:  # a bug, and still the other files are to be followed
            log.exception("the file of %s could not be followed", name)
        finally:
            self._changed()
        return False

    def _complain(self, trouble: str) -> None:
        """Once, for as long as it lasts."""
        if trouble != self._trouble:
            log.error("%s", trouble)
        self._trouble = trouble


@asynccontextmanager
async def watching(
    engine: Engine, repository: Path, *, reload_s: float, changed: Callable[[], None]
) -> AsyncIterator[None]:
    """Watch meanwhile; not at all where `reload_s` is 0."""
    if reload_s == 0:
        yield
        return
    watcher = Watcher(engine, repository, reload_s=reload_s, changed=changed)
    task = asyncio.create_task(watcher.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
