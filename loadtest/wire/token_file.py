"""The token that opens a server, out of a file: a command line can be seen by every user of the machine."""

import re
from pathlib import Path

from loadtest.errors import ConfigError

# What a header may hold: anything else would break the request apart.
TOKEN = re.compile(r"[!-~]+")


def read_token(path: Path) -> str:
    """The first line that is neither empty nor begins with #, as in the file that a server is given."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="ascii").splitlines()]
    except OSError as error:
        raise ConfigError(f"token file {path}: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"token file {path} is not ASCII text") from None
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        raise ConfigError(f"token file {path} holds no token")
    if not TOKEN.fullmatch(tokens[0]):
        raise ConfigError(f"token file {path}: a token has no spaces or control characters")
    return tokens[0]
