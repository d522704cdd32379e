"""What this server answers for: cascades, and their members by themselves. A snapshot, never changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from cascade.cascade_file import Cascade
from cascade.cascade_file import Member as MemberSpec
from serving.errors import InvalidRequest, NotFound
from serving.members import Member, check_shared, described, member_key
from serving.served import ServedCascade, served_member


@dataclass(frozen=True)
class Registry:
    """Cascades by name; `unloaded` names those that were let go."""

    cascades: Mapping[str, ServedCascade]
    unloaded: frozenset[str] = field(default_factory=frozenset)

    def check(self, cascade: Cascade) -> None:
        """StartupError where a cascade says of a member other things than another one that shares it."""
        for spec, other, _ in self._members():
            for own in cascade.members:
                if other.name != cascade.name and member_key(own) == member_key(spec):
                    check_shared((spec, other), (own, cascade))

    def _members(self) -> Iterable[tuple[MemberSpec, Cascade, Member]]:
        for served in self.cascades.values():
            for name, member in zip(served.slot_names, served.slots, strict=True):
                yield served.cascade.member(name), served.cascade, member

    def loaded(self, spec: MemberSpec, cascade: Cascade) -> Member | None:
        """The member that is just as this cascade describes it, if there is one."""
        for known, other, member in self._members():
            if member_key(known) == member_key(spec) and described(known, other) == described(spec, cascade):
                return member
        return None

    @cached_property
    def models(self) -> Mapping[str, Mapping[str, ServedCascade]]:
        """All that may be called, by name and version, the newest first. A cascade hides a member of its
        name."""
        found: dict[str, dict[str, ServedCascade]] = {}
        by_version = sorted(self._members(), key=lambda item: -item[0].version)
        for spec, cascade, member in by_version:
            versions = found.setdefault(spec.name, {})
            if str(spec.version) not in versions:
                versions[str(spec.version)] = served_member(spec, cascade, member)
        return found | {name: {served.version: served} for name, served in self.cascades.items()}

    def model(self, name: str, version: str = "") -> ServedCascade:
        """The newest version where none is named; NotFound says what there is."""
        versions = self.models.get(name)
        if versions is None:
            raise NotFound(f"unknown model {name[:80]!r}; there are: {', '.join(sorted(self.models))}")
        if not version:
            return next(iter(versions.values()))
        if version not in versions:
            known = ", ".join(versions)
            raise NotFound(f"model {name!r} has version {known}, not {version[:80]!r}")
        return versions[version]

    def cascade(self, name: str) -> ServedCascade:
        """NotFound where there is none of that name, InvalidRequest where it is a member's."""
        if name not in self.cascades:
            self.model(name)
            raise InvalidRequest(f"{name[:80]!r} is a member, and no cascade")
        return self.cascades[name]

    def with_cascade(self, served: ServedCascade) -> "Registry":
        return Registry(
            dict(sorted({**self.cascades, served.name: served}.items())), self.unloaded - {served.name}
        )

    def without_cascade(self, name: str) -> "Registry":
        """As `cascade` where there is none; members go with the last cascade that has them."""
        self.cascade(name)
        kept = {other: served for other, served in self.cascades.items() if other != name}
        return Registry(kept, self.unloaded | {name})
