"""What was tested, as JSON. Pure."""

from typing import Any

from loadtest.wire.served import ServedModel

# Of every summary.json.
FORMAT_VERSION = 2


def model_to_json(served: ServedModel) -> dict[str, Any]:
    cascade = served.cascade
    if cascade is None:
        return {"name": served.name, "is_cascade": False}
    return {
        "name": served.name,
        "is_cascade": True,
        "version": cascade.version,
        "default_policy": cascade.default_policy,
        "stages": [list(stage) for stage in cascade.stages],
        "stage_macs": list(cascade.stage_macs),
    }
