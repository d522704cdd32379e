"""Bearer tokens: a client that sends one may ask. The server keeps no more than their digests."""

import hmac
import os
import re
import stat
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from serving.errors import StartupError

OTHERS = stat.S_IRWXG | stat.S_IRWXO
TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]{16,}=*")
"""RFC 6750's characters, and enough of them not to be guessed."""
FORM = "16 or more of the characters A-Z a-z 0-9 - . _ ~ + /, and = only at its end"
NEEDED = "a token is needed: `authorization: Bearer TOKEN`"
UNKNOWN = "the token is unknown"


class Tokens:
    """Several, so that one can be exchanged while clients still send the other."""

    def __init__(self, tokens: Iterable[bytes]) -> None:
        self._digests = tuple(sha256(token).digest() for token in tokens)

    def admit(self, authorization: bytes | None) -> bool:
        """Whether the header holds one of them. Digests are compared, in constant time: how long it takes
        tells nothing of a token."""
        if authorization is None:
            return False
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return False
        digest = sha256(token.strip(b" ")).digest()
        return any(hmac.compare_digest(digest, known) for known in self._digests)


def read_tokens(path: Path) -> Tokens:
    """One a line; empty lines and those that begin with # are passed over."""
    numbered = enumerate(_private(path).split(b"\n"), 1)
    lines = [(number, line.strip()) for number, line in numbered]
    tokens = [(number, line) for number, line in lines if line and not line.startswith(b"#")]
    for number, token in tokens:
        if not TOKEN.fullmatch(token):
            raise StartupError(f"--token-file {path}, line {number}: a token is {FORM}")
    if not tokens:
        raise StartupError(f"--token-file {path} holds no token")
    return Tokens(token for _, token in tokens)


def _private(path: Path) -> bytes:
    """What a file holds that nobody but its owner may read or write."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except OSError as error:
        raise StartupError(f"--token-file {path}: {error.strerror}") from None
    if mode & OTHERS:
        raise StartupError(f"--token-file {path} has mode {mode:04o}; only its owner may have access (600)")
    return content


def refusal(authorization: bytes | None) -> str:
    """What a client is told that was not admitted."""
    return NEEDED if authorization is None else UNKNOWN
