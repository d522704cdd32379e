"""Triton's extensions over gRPC: loading and unloading, shared memory, trace and log settings."""

from collections.abc import Mapping
from typing import Any

from tritonclient.grpc import service_pb2 as pb

from serving.grpc.calls import Context
from serving.runtime_settings import TRACE_SETTINGS, update_trace_settings
from serving.services import Services


class Extensions:
    """The methods' names are the protocol's."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def RepositoryModelLoad(self, request: Any, context: Context) -> Any:  # noqa: N802
        await self._services.models.load(request.model_name, _chosen(request.parameters))
        return pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, context: Context) -> Any:  # noqa: N802
        await self._services.models.unload(request.model_name, _chosen(request.parameters))
        return pb.RepositoryModelUnloadResponse()

    async def SystemSharedMemoryStatus(self, request: Any, context: Context) -> Any:  # noqa: N802
        answer = pb.SystemSharedMemoryStatusResponse()
        for region in self._services.memory.status(request.name):
            named = answer.regions[region["name"]]
            named.name, named.key = region["name"], region["key"]
            named.offset, named.byte_size = region["offset"], region["byte_size"]
        return answer

    async def SystemSharedMemoryRegister(self, request: Any, context: Context) -> Any:  # noqa: N802
        self._services.memory.register(request.name, request.key, request.offset, request.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    async def SystemSharedMemoryUnregister(self, request: Any, context: Context) -> Any:  # noqa: N802
        self._services.memory.unregister(request.name)
        return pb.SystemSharedMemoryUnregisterResponse()

    async def CudaSharedMemoryStatus(self, request: Any, context: Context) -> Any:  # noqa: N802
        self._services.cuda.status(request.name)
        return pb.CudaSharedMemoryStatusResponse()

    async def CudaSharedMemoryRegister(self, request: Any, context: Context) -> Any:  # noqa: N802
        self._services.cuda.register(request.name, request.raw_handle, request.device_id, request.byte_size)

    async def CudaSharedMemoryUnregister(self, request: Any, context: Context) -> Any:  # noqa: N802
        self._services.cuda.unregister(request.name)
        return pb.CudaSharedMemoryUnregisterResponse()

    async def TraceSetting(self, request: Any, context: Context) -> Any:  # noqa: N802
        if request.model_name:
            self._services.engine.registry.model(request.model_name)
        update_trace_settings({name: list(entry.value) for name, entry in request.settings.items()})
        answer = pb.TraceSettingResponse()
        for name, values in TRACE_SETTINGS.items():
            answer.settings[name].value.extend(values)
        return answer

    async def LogSettings(self, request: Any, context: Context) -> Any:  # noqa: N802
        answer = pb.LogSettingsResponse()
        for name, value in self._services.logs.update(_chosen(request.settings)).items():
            if isinstance(value, bool):
                answer.settings[name].bool_param = value
            else:
                answer.settings[name].uint32_param = value
        return answer


def _chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """A map of messages that each hold one of several kinds of value; None where one holds none."""
    return {name: _value(value) for name, value in values.items()}


def _value(message: Any) -> Any:
    kind = message.WhichOneof("parameter_choice")
    return None if kind is None else getattr(message, kind)
