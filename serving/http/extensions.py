"""Triton's extensions over HTTP: loading and unloading, shared memory, trace and log settings."""

from typing import Any

from fastapi import FastAPI, Request

from serving.errors import InvalidRequest
from serving.http.documents import read_object
from serving.runtime_settings import TRACE_SETTINGS, update_trace_settings
from serving.services import Services
from serving.shared_memory import CudaSharedMemory, SharedMemory


def add_extensions(app: FastAPI, services: Services) -> None:
    _add_model_control(app, services)
    _add_memory(app, "system", services.memory)
    _add_memory(app, "cuda", services.cuda)
    _add_trace_settings(app, services)
    _add_log_settings(app, services)


def _add_model_control(app: FastAPI, services: Services) -> None:
    """A load or unload that succeeds has an empty object to say. Refit and rollback are this server's own."""

    @app.post("/v2/repository/models/{model}/load")
    async def load(model: str, request: Request) -> dict[str, Any]:
        await services.models.load(model, _parameters(await read_object(request)))
        return {}

    @app.post("/v2/repository/models/{model}/unload")
    async def unload(model: str, request: Request) -> dict[str, Any]:
        await services.models.unload(model, _parameters(await read_object(request)))
        return {}

    @app.post("/v2/repository/models/{model}/refit")
    async def refit(model: str, request: Request) -> dict[str, Any]:
        return await services.models.refit(model, await read_object(request))

    @app.post("/v2/repository/models/{model}/rollback")
    async def rollback(model: str, request: Request) -> dict[str, Any]:
        return await services.models.roll_back(model, await read_object(request))


def _parameters(document: dict[str, Any]) -> dict[str, Any]:
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidRequest("parameters must be a JSON object")
    return parameters


def _add_memory(app: FastAPI, kind: str, memory: SharedMemory | CudaSharedMemory) -> None:
    prefix = f"/v2/{kind}sharedmemory"

    @app.get(prefix + "/status")
    @app.get(prefix + "/region/{region}/status")
    async def status(region: str = "") -> list[dict[str, Any]]:
        return memory.status(region)

    @app.post(prefix + "/region/{region}/register")
    async def register(region: str, request: Request) -> dict[str, Any]:
        wanted = await read_object(request)
        memory.register(region, wanted.get("key"), wanted.get("offset", 0), wanted.get("byte_size"))
        return {}

    @app.post(prefix + "/unregister")
    @app.post(prefix + "/region/{region}/unregister")
    async def unregister(region: str = "") -> dict[str, Any]:
        memory.unregister(region)
        return {}


def _add_trace_settings(app: FastAPI, services: Services) -> None:
    @app.get("/v2/trace/setting")
    @app.get("/v2/models/{model}/trace/setting")
    async def trace_settings(model: str = "") -> dict[str, Any]:
        _check_model(services, model)
        return TRACE_SETTINGS

    @app.post("/v2/trace/setting")
    @app.post("/v2/models/{model}/trace/setting")
    async def set_trace_settings(request: Request, model: str = "") -> dict[str, Any]:
        _check_model(services, model)
        return update_trace_settings(await read_object(request))


def _check_model(services: Services, model: str) -> None:
    if model:
        services.engine.registry.model(model)


def _add_log_settings(app: FastAPI, services: Services) -> None:
    @app.get("/v2/logging")
    async def log_settings() -> dict[str, Any]:
        return services.logs.current()

    @app.post("/v2/logging")
    async def set_log_settings(request: Request) -> dict[str, Any]:
        return services.logs.update(await read_object(request))
