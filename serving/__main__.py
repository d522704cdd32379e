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

from serving.config import Limits, SchedulerConfig, ServerConfig, SessionConfig
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
        "--allow-model-control", action="store_true", help="let clients load and unload cascades"
    )
    parser.add_argument(
        "--allow-shared-memory", action="store_true", help="let clients name system shared memory regions"
    )
    parser.add_argument("--http-port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--grpc-port", type=int, default=8001, help="0 takes a free one")
    parser.add_argument("--workers", type=int, default=scheduler.num_workers, help="batches run at once")
    parser.add_argument("--threads", type=int, default=1, help="of ONNX Runtime for each batch")
    parser.add_argument(
        "--spin", action="store_true", help="threads wait awake: only `export --tune` tells whether it helps"
    )
    parser.add_argument(
        "--max-batch-rows", type=int, default=scheduler.max_batch_rows, help="rows in a batch"
    )
    parser.add_argument(
        "--max-wait-ms",
        type=float,
        default=scheduler.max_wait_s * 1000,
        help="how long a partial batch may be passed over for full ones",
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
        session=SessionConfig(num_threads=options.threads, is_spinning=options.spin),
        scheduler=SchedulerConfig(
            num_workers=options.workers,
            max_batch_rows=options.max_batch_rows,
            max_wait_s=options.max_wait_ms / 1000,
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
