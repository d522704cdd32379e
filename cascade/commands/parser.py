"""Arguments, whose errors are one line like any other."""

import argparse
from typing import Any, NoReturn

from cascade.errors import FormatError


class Parser(argparse.ArgumentParser):
    """Raises instead of printing its usage and leaving; options are not abbreviated."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        raise FormatError(message)


def names_in(text: str) -> tuple[str, ...]:
    """`a,b` to its names."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
