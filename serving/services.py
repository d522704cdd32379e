"""What both protocols serve from, put together."""

import logging
from dataclasses import dataclass

from serving.config import ServerConfig
from serving.console.samples import Samples, read_samples
from serving.decision_log import DecisionLog
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
    samples: Samples | None = None
    decisions: DecisionLog | None
    is_traced: bool = False

    def close(self) -> None:
        """Give back what outlives a request."""
        self.memory.close()
        self.logs.close()


def make_services(engine: Engine, config: ServerConfig, decisions: DecisionLog | None = None) -> Services:
    health = HealthService(engine)
    return Services(
        engine=engine,
        models=ModelControl(
            engine, config.repository, is_allowed=config.allow_model_control, changed=health.changed
        ),
        memory=SharedMemory(
            is_allowed=config.allow_shared_memory, max_read_bytes=config.limits.max_body_bytes
        ),
        cuda=CudaSharedMemory(),
        health=health,
        samples=_samples(engine, config),
        decisions=decisions,
        logs=LogSettings(logging.getLogger("exitgate"), is_allowed=config.allow_model_control),
        is_traced=config.traces.is_on,
    )


def _samples(engine: Engine, config: ServerConfig) -> Samples | None:
    if config.console_samples is None:
        return None
    cascades = [served.cascade for served in engine.registry.cascades.values()]
    return read_samples(config.console_samples, cascades)
