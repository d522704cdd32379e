"""How members are run: as asked, else as `export --tune` found fastest, else by the defaults."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from cascade.cascade_file import Cascade
from cascade.runtime import Runtime
from serving.config import BreakerConfig, SchedulerConfig, ServerConfig, SessionConfig

log = logging.getLogger("exitgate")
CALLS_TO_TRITON = 4
"""At once to each member: while one is on its way another is computed."""


def settle(config: ServerConfig, cascades: Sequence[Cascade]) -> tuple[SchedulerConfig, SessionConfig]:
    """The settings that are left open are the cascade files', where those that name any name the same. What
    those found is of embedded members."""
    is_triton = config.backend.is_triton
    runtime = _filled(config, None if is_triton else _measured(cascades))
    if is_triton:
        log.info("%d calls to each member, up to %d rows", runtime.num_workers, runtime.max_batch_rows)
    else:
        log.info(
            "%d workers of %d %sthreads, up to %d rows a batch",
            *(runtime.num_workers, runtime.num_threads),
            *("spinning " if runtime.is_spinning else "", runtime.max_batch_rows),
        )
    scheduler = replace(
        config.scheduler, num_workers=runtime.num_workers, max_batch_rows=runtime.max_batch_rows
    )
    session = replace(config.session, num_threads=runtime.num_threads, is_spinning=runtime.is_spinning)
    return scheduler, session


def _measured(cascades: Sequence[Cascade]) -> Runtime | None:
    found = {cascade.runtime for cascade in cascades if cascade.runtime is not None}
    if len(found) > 1:
        log.warning("the cascade files were tuned to different settings; none of them is used")
        return None
    return found.pop() if found else None


def _filled(config: ServerConfig, measured: Runtime | None) -> Runtime:
    asked, scheduler, session = config.runtime, config.scheduler, config.session
    workers = CALLS_TO_TRITON if config.backend.is_triton else scheduler.num_workers
    rest = measured or Runtime(workers, session.num_threads, session.is_spinning, scheduler.max_batch_rows)
    named = {name: getattr(asked, name) for name in vars(rest) if getattr(asked, name) is not None}
    return replace(rest, **named)


def breaker_of(config: ServerConfig) -> BreakerConfig:
    slow_s = config.runtime.slow_batch_s
    return config.breaker if slow_s is None else replace(config.breaker, slow_s=slow_s, slow_call_s=slow_s)
