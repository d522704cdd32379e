"""What both protocols serve from, put together."""

import logging
from dataclasses import dataclass

from serving.config import ServerConfig
from serving.engine import Engine
from serving.grpc.health import HealthService
from serving.model_control import ModelControl
from serving.runtime_settings import LogSettings
from serving.shared_memory import CudaSharedMemory, SharedMemory


@dataclass(frozen=True, kw_only=True)
class Services:
    engine: Engine
    models: ModelControl
    memory: SharedMemory
    cuda: CudaSharedMemory
    health: HealthService
    logs: LogSettings

    def close(self) -> None:
        """Give back what outlives a request."""
        self.memory.close()
        self.logs.close()


def make_services(engine: Engine, config: ServerConfig) -> Services:
    health = HealthService(engine)
    return Services(
        engine=engine,
        models=ModelControl(engine, is_allowed=config.allow_model_control, changed=health.changed),
        memory=SharedMemory(
            is_allowed=config.allow_shared_memory, max_read_bytes=config.limits.max_body_bytes
        ),
        cuda=CudaSharedMemory(),
        health=health,
        logs=LogSettings(logging.getLogger("exitgate"), is_allowed=config.allow_model_control),
    )
