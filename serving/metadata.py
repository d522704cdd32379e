"""What the server says of itself and its models, as Triton's JSON; gRPC parses the same documents."""

import importlib.metadata
import json
from typing import Any

from cascade.cascade_file import cascade_to_json
from serving.messages import OUTPUT_DATATYPES
from serving.registry import Registry, ServedCascade
from serving.statistics import CascadeStatistics, Duration, MemberStatistics, Statistics

PLATFORM = "exitgate_cascade"
EXTENSIONS = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
)
TRITON_TYPES = {"BYTES": "TYPE_STRING"}


def server_metadata() -> dict[str, Any]:
    return {"name": "exitgate", "version": _version(), "extensions": list(EXTENSIONS)}


def _version() -> str:
    """The installed distribution's; a checkout that was not installed has none."""
    try:
        return importlib.metadata.version("exitgate")
    except importlib.metadata.PackageNotFoundError:
        return "checkout"


def model_metadata(served: ServedCascade) -> dict[str, Any]:
    return {
        "name": served.name,
        "versions": [served.version],
        "platform": PLATFORM,
        "inputs": [
            {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
            for spec in served.cascade.inputs
        ],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": [-1, *_row_shape(name, served)]}
            for name, datatype in OUTPUT_DATATYPES.items()
        ],
    }


def _row_shape(output: str, served: ServedCascade) -> list[int]:
    return [served.num_classes] if output == "probabilities" else []


def repository_index(registry: Registry, is_accepting: bool, only_ready: bool) -> list[dict[str, str]]:
    """Of every model its version and state; `only_ready` leaves out what takes no requests now."""
    state = "READY" if is_accepting else "UNAVAILABLE"
    if only_ready and not is_accepting:
        return []
    return [
        {"name": served.name, "version": served.version, "state": state, "reason": ""}
        for served in registry.cascades.values()
    ]


def model_config(served: ServedCascade, max_rows: int) -> dict[str, Any]:
    """Triton's ModelConfig. The whole cascade file is its parameter `cascade`, so that a client can turn
    exit stages into cost. A scalar per row is `[1]` with a reshape in Triton's terms."""
    return {
        "name": served.name,
        "platform": PLATFORM,
        "backend": "exitgate",
        "version_policy": {"specific": {"versions": [served.version]}},
        "max_batch_size": max_rows,
        "input": [
            {"name": spec.name, "data_type": _triton_type(spec.datatype), "dims": list(spec.shape[1:])}
            for spec in served.cascade.inputs
        ],
        "output": [_config_output(name, datatype, served) for name, datatype in OUTPUT_DATATYPES.items()],
        "parameters": {"cascade": {"string_value": json.dumps(cascade_to_json(served.cascade))}},
    }


def _config_output(name: str, datatype: str, served: ServedCascade) -> dict[str, Any]:
    row = _row_shape(name, served)
    output: dict[str, Any] = {"name": name, "data_type": _triton_type(datatype), "dims": row or [1]}
    if not row:
        output["reshape"] = {"shape": []}
    return output


def _triton_type(datatype: str) -> str:
    return TRITON_TYPES.get(datatype, f"TYPE_{datatype}")


def model_statistics(registry: Registry, statistics: Statistics, model: str = "") -> dict[str, Any]:
    """Counters of one cascade and its members, or of all. Of a member, `inference_count` is the rows it
    executed and `execution_count` the batches."""
    chosen = [registry.cascade(model)] if model else list(registry.cascades.values())
    keys = dict.fromkeys(key for served in chosen for key in served.slot_keys)
    return {
        "model_stats": [
            *(_cascade_entry(served, statistics.cascades[served.name]) for served in chosen),
            *(_member_entry(key, statistics.members[key]) for key in keys),
        ]
    }


def _cascade_entry(served: ServedCascade, counters: CascadeStatistics) -> dict[str, Any]:
    return {
        "name": served.name,
        "version": served.version,
        "inference_count": counters.rows,
        "execution_count": counters.success.count,
        "inference_stats": {"success": _duration(counters.success), "fail": _duration(counters.failed)},
    }


def _member_entry(key: str, counters: MemberStatistics) -> dict[str, Any]:
    name, _, version = key.rpartition("/")
    return {
        "name": name,
        "version": version,
        "inference_count": counters.rows,
        "execution_count": counters.compute.count,
        "inference_stats": {
            "success": _duration(counters.compute),
            "fail": _duration(counters.failed),
            "queue": _duration(counters.queue),
            "compute_infer": _duration(counters.compute),
        },
        "batch_stats": [
            {"batch_size": size, "compute_infer": _duration(duration)}
            for size, duration in sorted(counters.by_batch_size.items())
        ],
    }


def _duration(duration: Duration) -> dict[str, int]:
    return {"count": duration.count, "ns": duration.ns}
