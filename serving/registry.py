"""The cascades that this server answers for, and the members they run."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cascade.cascade_file import SUFFIX, Cascade, read_cascade
from cascade.cascade_file import Member as MemberSpec
from cascade.errors import CascadeError
from cascade.policy import Policy
from cascade.scores import OutputKind
from serving.config import SessionConfig
from serving.errors import MemberFailed, NotFound, StartupError
from serving.members import DEFAULT_SESSION, Member, check_shared, load_member, member_key, warm_up

log = logging.getLogger("exitgate")


@dataclass(frozen=True, eq=False)
class ServedCascade:
    """A cascade with its members numbered: a member's slot is its place in the order of the stages."""

    cascade: Cascade

    @property
    def name(self) -> str:
        return self.cascade.name

    @cached_property
    def version(self) -> str:
        return str(self.cascade.version)

    @cached_property
    def slot_names(self) -> tuple[str, ...]:
        return self.cascade.members_through(self.num_stages - 1)

    @cached_property
    def slot_keys(self) -> tuple[str, ...]:
        return tuple(member_key(self.cascade.member(name)) for name in self.slot_names)

    @cached_property
    def kinds(self) -> tuple[OutputKind, ...]:
        return tuple(self.cascade.member(name).output_kind for name in self.slot_names)

    @cached_property
    def stage_slots(self) -> tuple[range, ...]:
        ends = [len(self.cascade.members_through(stage)) for stage in range(self.num_stages)]
        return tuple(range(begin, end) for begin, end in zip([0, *ends], ends, strict=False))

    @cached_property
    def num_stages(self) -> int:
        return len(self.cascade.stages)

    @cached_property
    def num_classes(self) -> int:
        return len(self.cascade.classes)

    def policy(self, name: str | None) -> tuple[str, Policy]:
        chosen = self.cascade.default_policy if name is None else name
        if chosen not in self.cascade.policies:
            known = ", ".join(self.cascade.policies)
            raise NotFound(f"model {self.name!r} has no policy {chosen[:80]!r}; there are: {known}")
        return chosen, self.cascade.policies[chosen]


@dataclass(frozen=True)
class Registry:
    """Cascades by model name, members by key. A member that cascades share stands here once."""

    cascades: Mapping[str, ServedCascade]
    members: Mapping[str, Member]

    def cascade(self, name: str, version: str = "") -> ServedCascade:
        served = self.cascades.get(name)
        if served is None:
            known = ", ".join(self.cascades)
            raise NotFound(f"unknown model {name[:80]!r}; there are: {known}")
        if version not in ("", served.version):
            raise NotFound(f"model {name!r} has version {served.version}, not {version[:80]!r}")
        return served


def load_registry(
    repository: Path, max_batch_rows: int, session: SessionConfig = DEFAULT_SESSION
) -> Registry:
    """Read every cascade of a repository, load and warm up its members; StartupError says what is wrong."""
    if not repository.is_dir():
        raise StartupError(f"{repository}: no such folder")
    files = sorted(repository.glob("*" + SUFFIX))
    if not files:
        raise StartupError(f"{repository}: holds no *{SUFFIX}; `python -m export` makes one")
    cascades: dict[str, ServedCascade] = {}
    members: dict[str, Member] = {}
    first_user: dict[str, tuple[MemberSpec, Cascade]] = {}
    for file in files:
        served = ServedCascade(_read(file))
        cascades[served.name] = served
        for spec in map(served.cascade.member, served.slot_names):
            check_shared(
                first_user.setdefault(member_key(spec), (spec, served.cascade)), (spec, served.cascade)
            )
            key = member_key(spec)
            if key not in members:
                members[key] = load_member(repository, spec, served.cascade, session)
                _warm_up(members[key], served.cascade, max_batch_rows)
    return Registry(cascades, members)


def _read(file: Path) -> Cascade:
    try:
        return read_cascade(file)
    except CascadeError as error:
        raise StartupError(str(error)) from None


def _is_made_up(cascade: Cascade) -> bool:
    """Rows of zeros may be none that a member takes, where their extents vary or they hold texts."""
    return any(-1 in spec.shape[1:] or spec.datatype == "BYTES" for spec in cascade.inputs)


def _warm_up(member: Member, cascade: Cascade, max_batch_rows: int) -> None:
    try:
        warm_up(member, cascade, (1, max_batch_rows))
    except MemberFailed as error:
        if not _is_made_up(cascade):
            raise StartupError(f"{cascade.name!r}: {error}") from None
        log.info("%s: not warmed up, it takes no rows of zeros", member.key)
