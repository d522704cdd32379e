"""Arguments that several commands share, and what is made of them."""

import argparse
from typing import NoReturn

from loadtest.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Raises instead of printing its usage and leaving."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def add_number(
    group: argparse._ArgumentGroup, name: str, default: float | None, what: str, metavar: str = "X"
) -> None:
    shown = "" if default is None else " (default %(default)g)"
    group.add_argument(name, type=float, default=default, metavar=metavar, help=f"{what}{shown}")


def add_whole(group: argparse._ArgumentGroup, name: str, default: int, what: str) -> None:
    group.add_argument(name, type=int, default=default, metavar="N", help=f"{what} (default %(default)s)")
