"""`python -m serving REPOSITORY`: serve every cascade of a repository over HTTP and gRPC."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import uvloop

# gRPC's C++ core writes lines of its own beside our errors. Read when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from serving.announcement import announcement
from serving.config import ServerConfig
from serving.errors import ServingError
from serving.logs import start_logging
from serving.processes.parent import run_parent
from serving.registry import Registry
from serving.server import run
from serving.settings import GROUPS, PREFIX, SETTINGS, Chosen, Setting, server_config
from serving.settings_shown import as_toml, log_settings, toml_value
from serving.settings_sources import CONFIG_VARIABLE, choose

EPILOG = f"""Every setting is also a variable ({PREFIX}HTTP_PORT for --http-port) and a key of a TOML file
(http-port = 8000). A flag goes before a variable, a variable before the file, the file before the default."""
log = logging.getLogger("exitgate")


def main(arguments: Sequence[str] | None = None) -> int:
    flags = vars(_parser().parse_args(arguments))
    is_printed, file = flags.pop("print_config"), flags.pop("config")
    try:
        chosen = choose(flags, os.environ, file)
        config = server_config(chosen)
    except ServingError as error:
        return _refused(error)
    if is_printed:
        print(as_toml(chosen))
        return 0
    start_logging(config.log)
    log_settings(chosen)
    return _serve(config, chosen)


def _serve(config: ServerConfig, chosen: Mapping[str, Chosen]) -> int:
    def announce(registry: Registry, http_port: int, grpc_port: int) -> None:
        _print(announcement(config, registry, http_port, grpc_port))

    is_alone = config.num_processes == 1
    life = run(config, announce) if is_alone else run_parent(config, chosen, _print)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(life)
    except ServingError as error:
        if config.log.format == "text":
            return _refused(error)
        log.critical("%s", error)
        return 2
    return 0


def _refused(error: ServingError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    """Flags come as text, for whatever a setting comes from is read and checked alike."""
    parser = argparse.ArgumentParser(
        prog="python -m serving", description=__doc__, epilog=EPILOG, allow_abbrev=False
    )
    parser.add_argument("--config", metavar="FILE", help=f"settings in TOML (also {CONFIG_VARIABLE})")
    parser.add_argument("--print-config", action="store_true", help="print the settings as TOML, and exit")
    groups = {name: parser.add_argument_group(name, description) for name, description in GROUPS.items()}
    for setting in SETTINGS:
        _add_flag(parser if setting.group is None else groups[setting.group], setting)
    return parser


def _add_flag(group: Any, setting: Setting) -> None:
    """One that is not given leaves nothing behind, since another source may give it."""
    default = "" if setting.default is None else f" (default: {toml_value(setting.default)})"
    told = {"default": argparse.SUPPRESS, "help": setting.help + default}
    if setting.is_positional:
        group.add_argument(setting.name, nargs="?", metavar=setting.flag, **told)
    elif setting.value_type is bool:
        group.add_argument(setting.flag, dest=setting.name, action=argparse.BooleanOptionalAction, **told)
    else:
        group.add_argument(setting.flag, dest=setting.name, metavar=setting.kind.metavar, **told)


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
