"""Which members form which stage."""

from collections.abc import Sequence
from typing import Any

from cascade.errors import FormatError
from cascade.fields import strings

Stages = tuple[tuple[str, ...], ...]
"""Names of the members of each stage, in order."""


def stages_from_json(value: list[Any], where: str) -> Stages:
    stages = tuple(strings(stage, where) for stage in value)
    names = [name for stage in stages for name in stage]
    if not stages or not all(stages) or len(set(names)) != len(names):
        raise FormatError(f"{where}: every stage needs members, and no member may stand twice")
    return stages


def parse_stages(text: str | None, names: Sequence[str]) -> Stages:
    """`0;1,2`, numbers being places in `names`, to stages; one member a stage where `text` is None."""
    if text is None:
        return tuple((name,) for name in names)
    try:
        numbers = [[int(number) for number in stage.split(",")] for stage in text.split(";")]
    except ValueError:
        raise FormatError(f"stages {text!r} are not of the form '0;1,2'") from None
    flat = [number for stage in numbers for number in stage]
    if not all(0 <= number < len(names) for number in flat):
        raise FormatError(f"stages {text!r}: there are members 0 to {len(names) - 1}")
    if len(set(flat)) != len(flat):
        raise FormatError(f"stages {text!r}: a member stands twice")
    return tuple(tuple(names[number] for number in stage) for stage in numbers)
