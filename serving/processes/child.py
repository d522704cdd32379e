"""One of several processes; its parent runs `python -m serving.processes.child NUMBER PARENT [TRITON]`.

Its settings come as TOML from standard input, a file. What it has to say goes to standard output, a line of
JSON: `{"ready": LINES}`, or `{"refused": TEXT}` where it cannot start.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence

import uvloop

from serving.announcement import announcement
from serving.errors import ServingError
from serving.logs import start_logging
from serving.registry import Registry
from serving.server import Seat, run
from serving.settings import server_config
from serving.settings_sources import choose

SETTINGS = "/dev/stdin"


def main(arguments: Sequence[str]) -> int:
    number, parent, *triton = arguments
    if os.getppid() != int(parent):  # killed before this process asked to be told of it
        return 0
    config = server_config(choose({}, {}, SETTINGS))
    start_logging(config.log, int(number))

    def announce(registry: Registry, http_port: int, grpc_port: int) -> None:
        _say({"ready": announcement(config, registry, http_port, grpc_port)})

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(config, announce, Seat(int(number), *triton)))
    except ServingError as error:
        _say({"refused": str(error)})
        return 2
    return 0


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
