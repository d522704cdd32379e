"""Token files, and whom they admit."""

from pathlib import Path

import pytest

from serving.errors import StartupError
from serving.tokens import Tokens, read_tokens

FIRST, SECOND = b"first-0123456789abcdef", b"second/0123456789+ABCDEF=="


def written(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    file = folder / "tokens"
    file.touch(0o600)
    file.chmod(mode)
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    ("authorization", "is_admitted"),
    [
        (b"Bearer " + FIRST, True),
        (b"bearer " + SECOND, True),
        (b"BEARER  " + FIRST + b" ", True),
        (None, False),
        (b"", False),
        (b"Bearer", False),
        (b"Bearer ", False),
        (FIRST, False),
        (b"Basic " + FIRST, False),
        (b"Bearer " + FIRST[:-1], False),
        (b"Bearer " + FIRST + b"x", False),
        (b"Bearer " + FIRST.upper(), False),
        (b"Bearer " + FIRST + b" " + SECOND, False),
        (b"Bearer # of the day", False),
        (b"Bearer \xff", False),
    ],
)
def test_whom_a_file_admits(authorization: bytes | None, is_admitted: bool, tmp_path: Path) -> None:
    file = written(tmp_path, b"# of the day\r\n\r\n" + FIRST + b"\r\n  " + SECOND)
    assert read_tokens(file).admit(authorization) is is_admitted


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_have_access_to_is_refused(mode: int, tmp_path: Path) -> None:
    file = written(tmp_path, FIRST, mode)
    with pytest.raises(StartupError, match=rf"^--token-file {file} has mode {mode:04o}; only its owner"):
        read_tokens(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", " holds no token"),
        (b"\n# only words\n", " holds no token"),
        (FIRST + b"\nfifteen-letters", ", line 2: a token is 16 or more"),
        (b"\xff" * 16, ", line 1: a token is"),
        (b"two words that are long", ", line 1: a token is"),
        (b"=" * 20, ", line 1: a token is"),
    ],
)
def test_a_file_without_good_tokens_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    file = written(tmp_path, content)
    with pytest.raises(StartupError, match=f"^--token-file {file}{message}") as caught:
        read_tokens(file)
    assert "words" not in str(caught.value)
    assert "fifteen" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=f"^--token-file {tmp_path}/x: No such file or directory$"):
        read_tokens(tmp_path / "x")
    with pytest.raises(StartupError, match=f"^--token-file {tmp_path}: Is a directory$"):
        read_tokens(tmp_path)


def test_tokens_are_not_kept() -> None:
    held = Tokens([FIRST])
    assert FIRST.decode() not in repr(vars(held))
