"""What the server says of itself and its models, as Triton's JSON; gRPC parses the same documents."""

import importlib.metadata
import json
from typing import Any

from cascade.cascade_file import cascade_to_json
from serving.jobs import Spent
from serving.registry import Registry
from serving.served import Output, ServedCascade
from serving.statistics import CascadeStatistics, Duration, MemberStatistics, Statistics

PLATFORM = "exitgate_cascade"
EXTENSIONS = (
    "binary_tensor_data",
    "logging",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
)
TRITON_TYPES = {"BYTES": "TYPE_STRING"}


def server_metadata(*, shares_memory: bool) -> dict[str, Any]:
    extensions = [*EXTENSIONS, "system_shared_memory"] if shares_memory else list(EXTENSIONS)
    return {"name": "exitgate", "version": _version(), "extensions": extensions}


def _version() -> str:
    """The installed distribution's; a checkout that was not installed has none."""
    try:
        return importlib.metadata.version("exitgate")
    except importlib.metadata.PackageNotFoundError:
        return "checkout"


def model_metadata(registry: Registry, model: str, version: str = "") -> dict[str, Any]:
    served = registry.model(model, version)
    return {
        "name": served.name,
        "versions": sorted(registry.models[served.name], key=int),
        "platform": PLATFORM,
        "inputs": [
            {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
            for spec in served.cascade.inputs
        ],
        "outputs": [
            {"name": name, "datatype": output.datatype, "shape": [-1, *output.row_shape]}
            for name, output in served.outputs.items()
        ],
    }


def repository_index(registry: Registry, is_accepting: bool, only_ready: bool) -> list[dict[str, str]]:
    """Of every model and version its state; `only_ready` leaves out what takes no requests now."""
    state = "READY" if is_accepting else "UNAVAILABLE"
    models = [
        {"name": name, "version": version, "state": state, "reason": ""}
        for name, versions in sorted(registry.models.items())
        for version in versions
        if is_accepting or not only_ready
    ]
    if not only_ready:
        gone = {"version": "", "state": "UNAVAILABLE", "reason": "unloaded"}
        models += [{"name": name} | gone for name in sorted(registry.unloaded)]
    return models


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
        "output": [_config_output(name, output) for name, output in served.outputs.items()],
        "parameters": {"cascade": {"string_value": json.dumps(cascade_to_json(served.cascade))}},
    }


def _config_output(name: str, output: Output) -> dict[str, Any]:
    row = list(output.row_shape)
    described = {"name": name, "data_type": _triton_type(output.datatype), "dims": row or [1]}
    return described if row else described | {"reshape": {"shape": []}}


def _triton_type(datatype: str) -> str:
    return TRITON_TYPES.get(datatype, f"TYPE_{datatype}")


def model_statistics(
    registry: Registry, statistics: Statistics, model: str = "", version: str = ""
) -> dict[str, Any]:
    """Counters of one model and the members that it runs, or of all.

    Of a member, `inference_count` is the rows it executed, `execution_count` the batches, and a success the
    rows of one request, in whatever cascade.
    """
    chosen = [registry.model(model, version)] if model else list(registry.cascades.values())
    keys = dict.fromkeys(member.key for served in chosen for member in served.slots)
    return {
        "model_stats": [
            *(
                _cascade_entry(served, statistics.cascades[served.name])
                for served in chosen
                if served.raw_output is None
            ),
            *(_member_entry(key, statistics.members[key]) for key in keys),
        ]
    }


def _cascade_entry(served: ServedCascade, counters: CascadeStatistics) -> dict[str, Any]:
    failed = counters.without_answer.values()
    return {
        "name": served.name,
        "version": served.version,
        "inference_count": counters.rows,
        "execution_count": counters.success.count,
        "inference_stats": {
            "success": _duration(counters.success),
            "fail": {"count": sum(each.count for each in failed), "ns": sum(each.ns for each in failed)},
            **_spent(counters.success.count, counters.spent),
        },
    }


def _member_entry(key: str, counters: MemberStatistics) -> dict[str, Any]:
    name, _, version = key.rpartition("/")
    whole_s = counters.spent.queue_s + counters.spent.compute_s
    return {
        "name": name,
        "version": version,
        "inference_count": counters.rows,
        "execution_count": counters.compute.count,
        "inference_stats": {
            "success": {"count": counters.num_works, "ns": _ns(whole_s)},
            "fail": _duration(counters.failed),
            **_spent(counters.num_works, counters.spent),
        },
        "batch_stats": [
            {"batch_size": size, "compute_infer": _duration(duration)}
            for size, duration in sorted(counters.by_batch_size.items())
        ],
    }


def _spent(count: int, spent: Spent) -> dict[str, dict[str, int]]:
    """All of one count, as clients of Triton expect: a batch's time counts for every request in it."""
    seconds = {
        "queue": spent.queue_s,
        "compute_input": spent.input_s,
        "compute_infer": spent.infer_s,
        "compute_output": spent.output_s,
    }
    return {name: {"count": count, "ns": _ns(value)} for name, value in seconds.items()}


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _duration(duration: Duration) -> dict[str, int]:
    return {"count": duration.count, "ns": duration.ns}
