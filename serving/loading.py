"""From files of a model repository to what is served."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, cast

from cascade.cascade_file import NAME, SUFFIX, Cascade, read_cascade
from cascade.cascade_file import Member as MemberSpec
from cascade.errors import CascadeError
from cascade.versions import as_next, replace_cascade
from serving.config import SessionConfig
from serving.errors import (
    InvalidRequest,
    MemberDown,
    MemberFailed,
    NotFound,
    StartupError,
    Unavailable,
)
from serving.members import DEFAULT_SESSION, Member, OnnxMember, load_member, warm_up
from serving.registry import Registry
from serving.served import ServedCascade

log = logging.getLogger("exitgate")


def read_cascades(repository: Path) -> list[Cascade]:
    """Every cascade file, checked; StartupError where there is none or one is bad."""
    if not repository.is_dir():
        raise StartupError(f"{repository}: no such folder")
    files = sorted(repository.glob("*" + SUFFIX))
    if not files:
        raise StartupError(f"{repository}: holds no *{SUFFIX}; `python -m export` makes one")
    return [_read(file) for file in files]


class LoadMember(Protocol):
    """How a member is loaded: where it runs."""

    def __call__(self, repository: Path, spec: MemberSpec, cascade: Cascade, max_rows: int) -> Member:
        """After checking that it is what the cascade says, else StartupError; it has `spec` and `max_rows`,
        and its `curve` may be set."""


@dataclass(frozen=True)
class Loader:
    """Loads cascades of one repository. A member that is loaded already, and described alike, is taken as it
    is. Members are embedded, and run as `session` says, unless `load_member` takes them from elsewhere.
    """

    repository: Path
    max_batch_rows: int
    session: SessionConfig = DEFAULT_SESSION
    load_member: LoadMember | None = None

    def load_all(self, cascades: Sequence[Cascade]) -> Registry:
        registry = Registry({})
        for cascade in cascades:
            registry = registry.with_cascade(self._served(cascade, registry))
        return registry

    def load(self, name: str, registry: Registry) -> Registry:
        """With the cascade as its file is now. NotFound where there is none; StartupError where it is bad."""
        file = self.repository / (name + SUFFIX)
        if not NAME.fullmatch(name) or not file.is_file():
            raise NotFound(f"the repository holds no cascade {name[:80]!r}")
        return registry.with_cascade(self._served(_read(file), registry))

    def replace(self, name: str, registry: Registry, make: Callable[[Cascade], Cascade]) -> Registry:
        """With what `make` makes of a cascade, once it is loaded and written. NotFound where there is none;
        InvalidRequest where its file is another than what is served; Unavailable where it cannot be
        written."""
        now, file = registry.cascade(name).cascade, self.repository / (name + SUFFIX)
        if not file.is_file() or _read(file) != now:
            raise InvalidRequest(f"the file of {name!r} is not what is served; load it first, or put it back")
        new = as_next(file, make(now))
        changed = registry.with_cascade(self._served(new, registry))
        try:
            replace_cascade(file, now, new)
        except CascadeError:
            raise InvalidRequest(f"the file of {name!r} was changed meanwhile; ask again") from None
        except OSError as error:
            log.error("%s cannot be written: %s", file, error)
            raise Unavailable(f"the server cannot write to its repository: {error.strerror}") from None
        return changed

    def _served(self, cascade: Cascade, registry: Registry) -> ServedCascade:
        registry.check(cascade)
        names = cascade.members_through(len(cascade.stages) - 1)
        slots = tuple(self._member(cascade.member(name), cascade, registry) for name in names)
        return ServedCascade(cascade, slots)

    def _member(self, spec: MemberSpec, cascade: Cascade, registry: Registry) -> Member:
        known = registry.loaded(spec, cascade)
        if known is not None:
            return known
        load = self.load_member or partial(load_member, config=self.session)
        member = load(self.repository, spec, cascade, self.max_batch_rows)
        try:
            warm_up(cast(OnnxMember, member), cascade)
        except MemberFailed as error:
            if isinstance(error, MemberDown) or not _is_made_up(cascade):
                raise StartupError(f"{cascade.name!r}: {error}") from None
            log.info("%s: not warmed up, it takes no rows of zeros", member.key)
        return member


def _read(file: Path) -> Cascade:
    try:
        return read_cascade(file)
    except CascadeError as error:
        raise StartupError(str(error)) from None


def _is_made_up(cascade: Cascade) -> bool:
    """Rows of zeros may be none that a member takes, where their extents vary or they hold texts."""
    return any(-1 in spec.shape[1:] or spec.datatype == "BYTES" for spec in cascade.inputs)
