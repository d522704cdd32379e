"""Loading, unloading, refitting and rolling back at a client's wish, where the server's owner allows it."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cascade.cascade_file import SUFFIX, Cascade
from cascade.errors import CascadeError
from cascade.versions import NotKept, rolled_back
from serving.engine import Engine
from serving.errors import InvalidRequest, StartupError, Unsupported
from serving.refitting import refit_on_recent

KINDS = {str: "a text", bool: "true or false", int: "a whole number"}
"""What a JSON value is called."""


class ModelControl:
    """`changed` is called whenever what is served may have changed."""

    def __init__(
        self, engine: Engine, repository: Path, *, is_allowed: bool, changed: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._repository = repository
        self._is_allowed = is_allowed
        self._changed = changed

    async def load(self, name: str, parameters: Mapping[str, Any]) -> None:
        self._check_allowed("load")
        for parameter in parameters:
            raise _refusal("load", parameter)
        try:
            await self._engine.load(name)
        finally:
            self._changed()

    async def unload(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Members that only this cascade uses go with it, so `unload_dependents` changes nothing."""
        self._check_allowed("unload")
        for parameter, value in parameters.items():
            if parameter != "unload_dependents":
                raise _refusal("unload", parameter)
            if not isinstance(value, bool):
                raise InvalidRequest("parameter 'unload_dependents' must be true or false")
        try:
            await self._engine.unload(name)
        finally:
            self._changed()

    async def refit(self, name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Lay a policy's windows again over recent scores, as the next version of its cascade, which is
        served from then on; with `dry_run` only say what that would be."""
        self._check_allowed("refit")
        _check_known("refit", wanted, {"policy": str, "dry_run": bool})
        served = self._engine.registry.cascade(name)
        refit = await asyncio.to_thread(refit_on_recent, served, wanted.get("policy"))
        refit.apply(served.cascade)  # what is refused is so in a dry run too
        if wanted.get("dry_run", False):
            return {"name": name, "version": served.cascade.version} | refit.told()
        await self._replace(name, refit.apply)
        return self._told(name) | refit.told()

    async def roll_back(self, name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Serve an earlier version of a cascade as its next; the one before it where none is named."""
        self._check_allowed("roll back")
        _check_known("rollback", wanted, {"version": int})
        file = self._repository / (name + SUFFIX)
        await self._replace(name, lambda now: _rolled_back(file, now, wanted.get("version", now.version - 1)))
        return self._told(name)

    async def _replace(self, name: str, make: Callable[[Cascade], Cascade]) -> None:
        try:
            await self._engine.replace(name, make)
        finally:
            self._changed()

    def _told(self, name: str) -> dict[str, Any]:
        return {"name": name, "version": self._engine.registry.cascade(name).cascade.version}

    def _check_allowed(self, verb: str) -> None:
        if not self._is_allowed:
            raise Unsupported(f"this server does not {verb} models; --allow-model-control allows it")


def _rolled_back(file: Path, now: Cascade, version: int) -> Cascade:
    try:
        return rolled_back(file, now, version)
    except NotKept as error:
        raise InvalidRequest(str(error)) from None
    except (CascadeError, OSError) as error:  # they name paths
        raise StartupError(str(error)) from None


def _check_known(verb: str, wanted: Mapping[str, Any], known: Mapping[str, type]) -> None:
    for name, value in wanted.items():
        if name not in known:
            raise InvalidRequest(f"{verb} takes {' and '.join(map(repr, known))}, not {name[:80]!r}")
        if type(value) is not known[name]:
            raise InvalidRequest(f"{verb}: {name!r} must be {KINDS[known[name]]}")


def _refusal(verb: str, parameter: str) -> InvalidRequest | Unsupported:
    """Triton's parameters for a configuration or files in the request are known, and not offered."""
    if parameter == "config" or parameter.startswith("file:"):
        return Unsupported(f"{verb} parameter {parameter[:80]!r} is not supported by this server")
    return InvalidRequest(f"unknown {verb} parameter {parameter[:80]!r}")
