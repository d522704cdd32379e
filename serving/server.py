"""A server's life: start, serve, drain, stop."""

import asyncio
import logging
import math
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import uvicorn

from serving.backends import TritonBackend
from serving.config import DecisionLogConfig, ServerConfig, SessionConfig, TraceConfig
from serving.decision_log import DecisionLog
from serving.engine import Engine, log_nothing
from serving.errors import StartupError
from serving.grpc.service import start_grpc
from serving.grpc.streams import Streams
from serving.http.app import make_app
from serving.http.asgi import App
from serving.http.guard import TokenGuard
from serving.http.infer import InferenceRoute
from serving.http.protocol import BoundedProtocol, ConnectionLimits
from serving.http.shared_port import SharedPort
from serving.loading import Loader, LoadMember, read_cascades
from serving.otlp import OtlpExport
from serving.registry import Registry
from serving.safety import NO_SAFETY, Safety, load_safety
from serving.services import Services, make_services
from serving.stopping import stop_event, unless_stopped
from serving.trace_endpoint import spans_url
from serving.tracing import Tracer
from serving.tuned import breaker_of, settle
from serving.watching import watching

log = logging.getLogger("exitgate")
BACKLOG = 1024
LAST_WORDS_S = 1.0
DEFAULT_LIMITS = ConnectionLimits()


@dataclass(frozen=True)
class Seat:
    """Of one among several processes: which it is, from 1, and where the Triton answers that their parent
    has started, if it has."""

    number: int
    triton: str | None = None


class HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers: this server has its own, for both protocols."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(
    config: ServerConfig, announce: Callable[[Registry, int, int], None], seat: Seat | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. `announce` gets the HTTP and gRPC ports once ready. With a
    `seat` these ports are shared."""
    stop = stop_event()
    safety = load_safety(config)
    async with AsyncExitStack() as stack:
        listeners = [stack.enter_context(closing(each)) for each in _listeners(config, seat)]
        decisions = _decision_log(config.decision_log, stack)
        engine = await unless_stopped(stop, _engine(config, decisions, seat, stack))
        if engine is None:
            return
        services = stack.enter_context(closing(make_services(engine, config, decisions)))
        await stack.enter_async_context(
            watching(engine, config.repository, reload_s=config.reload_s, changed=services.health.changed)
        )
        await _serve(services, config, safety, listeners, announce, stop, is_shared=seat is not None)


def _listeners(config: ServerConfig, seat: Seat | None) -> Iterator[socket.socket]:
    """The one that counts first; then that of this process alone, if it is to have one."""
    yield listen(config.host, config.http_port, is_shared=seat is not None)
    if seat is not None and config.own_ports is not None:
        yield listen(config.host, config.own_ports + seat.number - 1)


def _decision_log(config: DecisionLogConfig, stack: AsyncExitStack) -> DecisionLog | None:
    if config.folder is None:
        return None
    decisions = DecisionLog(config.folder, max_rows=config.max_file_rows, max_age_s=config.max_file_s)
    return stack.enter_context(closing(decisions))


async def _engine(
    config: ServerConfig, decisions: DecisionLog | None, seat: Seat | None, stack: AsyncExitStack
) -> Engine:
    """Started, with all members loaded; what it needs ends after it."""
    tracer = _tracer(config.traces, stack)
    cascades = read_cascades(config.repository)
    scheduler, session = settle(config, cascades)
    load_member = await _backend(config, session, seat, stack)
    loader = Loader(config.repository, scheduler.max_batch_rows, session, load_member)
    # Nobody but the engine holds the registry: members that a reload replaces must go.
    engine = Engine(
        await asyncio.to_thread(loader.load_all, cascades),
        scheduler,
        config.limits,
        loader,
        breaker_of(config),
        config.audit,
        decided=log_nothing if decisions is None else decisions.record,
        tracer=tracer,
    )
    engine.start()
    stack.callback(engine.stop)
    return engine


def _tracer(config: TraceConfig, stack: AsyncExitStack) -> Tracer | None:
    if config.otlp_endpoint is None:
        return None
    export = OtlpExport(spans_url(config.otlp_endpoint))
    stack.push_async_callback(asyncio.to_thread, export.close)
    return Tracer(export.emit, config.trace_share)


async def _backend(
    config: ServerConfig, session: SessionConfig, seat: Seat | None, stack: AsyncExitStack
) -> LoadMember | None:
    """How members are loaded, where they do not run in this process."""
    if not config.backend.is_triton:
        return None
    started = None if seat is None else seat.triton
    backend = TritonBackend(config.backend, config.repository, session, started)
    stack.push_async_callback(asyncio.to_thread, backend.stop)
    await asyncio.to_thread(backend.start)
    return backend.load_member


async def _serve(
    services: Services,
    config: ServerConfig,
    safety: Safety,
    listeners: list[socket.socket],
    announce: Callable[[Registry, int, int], None],
    stop: asyncio.Event,
    *,
    is_shared: bool,
) -> None:
    streams = Streams()
    http_port = listeners[0].getsockname()[1]
    grpc_server, grpc_port = await start_grpc(
        services, streams, config.host, config.grpc_port, safety, is_shared=is_shared
    )
    shared_port = http_port if is_shared else None
    http_server = HttpServer(http_config(services, config.grace_s, safety=safety, shared_port=shared_port))
    http_task = asyncio.create_task(http_server.serve(listeners))
    stopped = asyncio.create_task(stop.wait())
    listening = asyncio.create_task(http_server.is_listening.wait())
    await asyncio.wait({http_task, listening}, return_when=asyncio.FIRST_COMPLETED)
    if listening.done() and not stop.is_set():
        announce(services.engine.registry, http_port, grpc_port)
    listening.cancel()
    await asyncio.wait([http_task, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    services.health.end()
    streams.end()
    await _drain(services.engine, http_server, http_task, grpc_server, config.grace_s)


async def _drain(
    engine: Engine,
    http_server: HttpServer,
    http_task: "asyncio.Task[None]",
    grpc_server: grpc.aio.Server,
    grace_s: float,
) -> None:
    """Not ready; answer what is under way on both protocols; leave within the grace period."""
    log.info("draining: %d requests under way", engine.active_requests)
    http_server.should_exit = True
    draining = asyncio.create_task(engine.drain())
    stopping = asyncio.create_task(_stop_grpc(grpc_server, grace_s))
    _, late = await asyncio.wait({draining, stopping, http_task}, timeout=grace_s)
    if late:
        log.warning("%d requests had no answer within %g s", engine.active_requests, grace_s)
        engine.abandon()
        http_server.force_exit = True
        await grpc_server.stop(0)
        _, late = await asyncio.wait(late, timeout=LAST_WORDS_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    log.info("stopped")


async def _stop_grpc(server: grpc.aio.Server, grace_s: float) -> None:
    """gRPC cancels the calls that it holds and nobody has taken up yet (its issue 41785), so for a moment
    they are still taken up, and refused in words."""
    linger_s = min(DEFAULT_LIMITS.linger_s, grace_s / 2)
    await asyncio.sleep(linger_s)
    await server.stop(grace_s - linger_s)


def http_config(
    services: Services,
    grace_s: float,
    limits: ConnectionLimits = DEFAULT_LIMITS,
    safety: Safety = NO_SAFETY,
    shared_port: int | None = None,
) -> uvicorn.Config:
    protocol: Any = partial(BoundedProtocol, limits=limits)
    tls = safety.tls
    return uvicorn.Config(
        _guarded(InferenceRoute(services, _app(services, shared_port)), safety),
        http=protocol,
        ssl_context_factory=None if tls is None else lambda *_: tls.context,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=max(1, math.ceil(grace_s)),
    )


def _app(services: Services, shared_port: int | None) -> App:
    app = make_app(services)
    return app if shared_port is None else SharedPort(app, shared_port)


def _guarded(app: App, safety: Safety) -> App:
    return app if safety.tokens is None else TokenGuard(app, safety.tokens)


def listen(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """A listening socket, so that a port in use is known before members are loaded. One that `is_shared` does
    not listen yet, or connections would come to who cannot take them, and not to the others."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartupError(f"HTTP port {port} on {host}: {error.strerror}") from None
    if not is_shared:
        listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
