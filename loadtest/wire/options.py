"""How a target is spoken to, whatever is asked of it."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class WireOptions:
    """`token` goes with every request as `Authorization: Bearer`. The files are PEM: `ca` whom to trust in
    place of the system's authorities, `certificate` and `key` who we are. `is_json`: tensors as JSON rather
    than binary (HTTP alone). `output` as in `served.served_plain`."""

    token: str | None = field(default=None, repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    is_json: bool = False
    output: str | None = None
