"""Arguments, whose errors are one line like any other."""

import argparse
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from cascade.errors import FormatError


class Parser(argparse.ArgumentParser):
    """Raises instead of printing its usage and leaving; options are not abbreviated."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        raise FormatError(message)


def print_notes(notes: Iterable[str]) -> None:
    """Aside of the results, where a pipe does not carry them."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def numbers_in(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise FormatError(f"{option} {text!r} is not of the form 0.001,0.002") from None


def names_in(text: str) -> tuple[str, ...]:
    """`a,b` to its names."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
