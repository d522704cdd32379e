from pathlib import Path

import pytest

from loadtest.errors import ConfigError
from loadtest.wire.token_file import read_token


@pytest.mark.parametrize(
    "content", ["secret", "secret\n", "# whose it is\n\n  secret \nanother\n", "\r\nsecret\r\n"]
)
def test_the_first_token_is_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_bytes(content.encode())
    assert read_token(tmp_path / "token") == "secret"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no token"),
        (b"\n# secret\n", "holds no token"),
        (b"two words", "a token has no spaces or control characters"),
        (b"se\x00cret", "a token has no spaces or control characters"),
        ("sécret".encode(), "is not ASCII text"),
    ],
)
def test_what_holds_none_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_token(file)
    assert str(file) in str(caught.value) and message in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"token file {tmp_path}/none: No such file or directory"):
        read_token(tmp_path / "none")
