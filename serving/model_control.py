"""Loading and unloading of cascades at the wish of a client, where the server's owner allows it."""

from collections.abc import Callable, Mapping
from typing import Any

from serving.engine import Engine
from serving.errors import InvalidRequest, Unsupported


class ModelControl:
    """`changed` is called whenever what is served may have changed."""

    def __init__(self, engine: Engine, *, is_allowed: bool, changed: Callable[[], None]) -> None:
        self._engine = engine
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

    def _check_allowed(self, verb: str) -> None:
        if not self._is_allowed:
            raise Unsupported(f"this server does not {verb} models; --allow-model-control allows it")


def _refusal(verb: str, parameter: str) -> InvalidRequest | Unsupported:
    """Triton's parameters for a configuration or files in the request are known, and not offered."""
    if parameter == "config" or parameter.startswith("file:"):
        return Unsupported(f"{verb} parameter {parameter[:80]!r} is not supported by this server")
    return InvalidRequest(f"unknown {verb} parameter {parameter[:80]!r}")
