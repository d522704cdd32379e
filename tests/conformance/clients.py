"""tritonclient's four clients behind one face, so that one check runs over all of them.

with connect("grpc.aio", target.server) as client:
    result = client.infer("digits-0", [client.input("image", images)])

Every method is tritonclient's own under its own name and with its own arguments; those of the asyncio
clients run to their end here.
"""

import asyncio
import inspect
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from tritonclient.utils import np_to_triton_dtype

HTTP = ("http", "http.aio")
GRPC = ("grpc", "grpc.aio")
ALL = HTTP + GRPC
CONNECTIONS = 8
"""Of tritonclient's HTTP client, which has one only unless told."""

MODULES: dict[str, tuple[ModuleType, ModuleType]] = {
    "http": (triton_http, triton_http),
    "grpc": (triton_grpc, triton_grpc),
    "http.aio": (triton_http_aio, triton_http),
    "grpc.aio": (triton_grpc_aio, triton_grpc),
}
"""Where the client's class stands, and where its tensors' do."""


class RunningServer(Protocol):
    """HOST:PORT each, and the process behind both."""

    @property
    def http(self) -> str: ...

    @property
    def grpc(self) -> str: ...

    @property
    def process(self) -> "subprocess.Popen[Any]": ...


class Client:
    """`raw` is tritonclient's object; an unknown attribute is a method of it."""

    def __init__(self, kind: str, raw: Any, runner: asyncio.Runner) -> None:
        self.kind = kind
        self.raw = raw
        self.tensors = MODULES[kind][1]
        self._runner = runner

    @property
    def is_http(self) -> bool:
        return self.kind in HTTP

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.raw, name)
        return lambda *args, **kwargs: self._finished(method(*args, **kwargs))

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """For what is particular to the asyncio clients."""
        return self._runner.run(coroutine)

    def _finished(self, result: Any) -> Any:
        return self._runner.run(_await(result)) if inspect.isawaitable(result) else result

    def document(self, method: str, *args: Any) -> Any:
        """What a method tells as JSON. gRPC's form of it holds 64-bit numbers as text, and leaves out 0."""
        return getattr(self, method)(*args, **({} if self.is_http else {"as_json": True}))

    def input(self, name: str, array: np.ndarray, *, is_binary: bool = True, datatype: str = "") -> Any:
        tensor = self.tensors.InferInput(name, list(array.shape), datatype or np_to_triton_dtype(array.dtype))
        return tensor.set_data_from_numpy(array, **({"binary_data": is_binary} if self.is_http else {}))

    def output(self, name: str, *, is_binary: bool = True) -> Any:
        return self.tensors.InferRequestedOutput(name, **({"binary_data": is_binary} if self.is_http else {}))

    def answer(self, result: Any) -> dict[str, Any]:
        """Model, version, id and the names of the outputs."""
        response = result.get_response()
        if self.is_http:
            names = [output["name"] for output in response["outputs"]]
            return {
                "model": response["model_name"],
                "version": response["model_version"],
                "id": response.get("id", ""),
                "outputs": names,
            }
        return {
            "model": response.model_name,
            "version": response.model_version,
            "id": response.id,
            "outputs": [output.name for output in response.outputs],
        }


async def _await(awaitable: Any) -> Any:
    return await awaitable


@contextmanager
def connect(kind: str, server: RunningServer, **options: Any) -> Iterator[Client]:
    """`options` are the client's own."""
    module, _ = MODULES[kind]
    address = server.http if kind in HTTP else server.grpc
    if kind == "http":
        options = {"concurrency": CONNECTIONS} | options
    with asyncio.Runner() as runner:
        raw = runner.run(_made(module, address, options))
        client = Client(kind, raw, runner)
        try:
            yield client
        finally:
            if kind == "http.aio":
                runner.run(_all_read(raw))
            client.close()


async def _all_read(raw: Any) -> None:
    """This client leaves bodies that it has no use for unread. Closed before the last of them has come, it
    leaves a connection that nobody closed, which is warned of when it is collected: in some later test."""
    for _ in range(100):
        if not raw._conn._acquired:
            return
        await asyncio.sleep(0.01)


async def _made(module: ModuleType, address: str, options: dict[str, Any]) -> Any:
    """On a loop, which the asyncio clients ask for."""
    return module.InferenceServerClient(address, **options)
