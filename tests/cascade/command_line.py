"""Running commands as a user does."""

import pytest

from cascade.__main__ import main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command printed; it must have worked."""
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def error_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of a command that refused its input."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err
