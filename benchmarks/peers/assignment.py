"""What a peer in an environment of its own is told when it is started: JSON in one environment variable."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

VARIABLE = "PEER_ASSIGNMENT"


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Two members' files, the first one's threshold, and the peer's own setting."""

    members: tuple[str, str]
    threshold: float
    port: int
    setting: dict[str, Any]

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


def assigned() -> Assignment:
    fields = json.loads(os.environ[VARIABLE])
    first, second = fields.pop("members")
    return Assignment(members=(first, second), **fields)
