"""`python -m serving REPOSITORY`: serve every cascade of a repository over HTTP and gRPC."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

# gRPC's C++ core writes lines of its own beside our errors. Read when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from serving.config import (
    PROVIDERS,
    Limits,
    RuntimeChoice,
    SchedulerConfig,
    ServerConfig,
    SessionConfig,
)
from serving.errors import ServingError
from serving.registry import Registry
from serving.server import run


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        config = _config(options)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(config, lambda *ready: _announce(config, *ready)))
    except ServingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    scheduler, limits = SchedulerConfig(), Limits()
    parser.add_argument("repository", type=Path, help="folder with NAME.cascade.json files and their members")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--allow-remote", action="store_true", help="listen beyond loopback; there is no login"
    )
    parser.add_argument(
        "--allow-model-control",
        action="store_true",
        help="let clients load and unload cascades, and set the log",
    )
    parser.add_argument(
        "--allow-shared-memory", action="store_true", help="let clients name system shared memory regions"
    )
    parser.add_argument("--http-port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--grpc-port", type=int, default=8001, help="0 takes a free one")
    tuned = parser.add_argument_group(
        "how members are run", "what is not given is as `export --tune` found it, else as said here"
    )
    tuned.add_argument(
        "--workers", type=int, help=f"batches run at once (here {scheduler.num_workers}, the processors)"
    )
    tuned.add_argument("--threads", type=int, help="of ONNX Runtime for each batch (1)")
    tuned.add_argument(
        "--spin", action=argparse.BooleanOptionalAction, default=None, help="threads wait awake (no)"
    )
    tuned.add_argument("--max-batch-rows", type=int, help=f"rows in a batch ({scheduler.max_batch_rows})")
    parser.add_argument(
        "--accelerator", choices=sorted(PROVIDERS), default="none", help="what members run on, if not the CPU"
    )
    parser.add_argument(
        "--max-queue-seconds",
        type=float,
        default=scheduler.max_queue_s,
        help="of work that may wait before requests are refused",
    )
    parser.add_argument(
        "--max-queue-bytes", type=int, default=scheduler.max_queue_bytes, help="of inputs that may wait"
    )
    parser.add_argument(
        "--max-request-rows", type=int, default=limits.max_request_rows, help="rows in a request"
    )
    parser.add_argument(
        "--max-json-bytes", type=int, default=limits.max_json_bytes, help="bytes of JSON in a request"
    )
    parser.add_argument(
        "--max-body-bytes", type=int, default=limits.max_body_bytes, help="bytes in a request"
    )
    parser.add_argument("--grace", type=float, default=30.0, help="seconds to answer what is under way")
    return parser


def _config(options: argparse.Namespace) -> ServerConfig:
    return ServerConfig(
        repository=options.repository,
        host=options.host,
        http_port=options.http_port,
        grpc_port=options.grpc_port,
        grace_s=options.grace,
        allow_remote=options.allow_remote,
        allow_model_control=options.allow_model_control,
        allow_shared_memory=options.allow_shared_memory,
        runtime=RuntimeChoice(
            num_workers=options.workers,
            num_threads=options.threads,
            is_spinning=options.spin,
            max_batch_rows=options.max_batch_rows,
        ),
        session=SessionConfig(accelerator=options.accelerator),
        scheduler=SchedulerConfig(
            max_queue_s=options.max_queue_seconds,
            max_queue_bytes=options.max_queue_bytes,
        ),
        limits=Limits(
            max_json_bytes=options.max_json_bytes,
            max_body_bytes=options.max_body_bytes,
            max_request_rows=options.max_request_rows,
        ),
    )


def _announce(config: ServerConfig, registry: Registry, http_port: int, grpc_port: int) -> None:
    """The one line that a script may wait for begins with `ready`."""
    for served in registry.cascades.values():
        policies = ", ".join(served.cascade.policies)
        print(f"{served.name}: {served.num_stages} stages, policies {policies}", flush=True)
    host = f"[{config.host}]" if ":" in config.host else config.host
    print(f"ready: http://{host}:{http_port} grpc://{host}:{grpc_port}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
