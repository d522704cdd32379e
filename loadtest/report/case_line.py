"""A case's figures as one line of a CSV; empty where there is no figure. Pure."""

from dataclasses import asdict
from typing import Any

from cascade.intervals import Estimate
from loadtest.figures.comparison import Difference
from loadtest.figures.results import CaseResult
from loadtest.figures.statistics import LoadFigures
from loadtest.figures.under_load import UnderLoad

Line = dict[str, Any]


def flat(case: CaseResult) -> Line:
    quality, capacity = case.quality, case.capacity
    line: Line = {"contender": case.contender, "over": case.over, "model": case.case.served.name}
    line["is_valid"] = case.load.generator.is_valid
    for name in ("accuracy", "coverage", "risk", "agreement", "ood_accepted"):
        line |= share_columns(name, getattr(quality, name))
    line |= {f"exits_{stage}": share for stage, share in enumerate(quality.exits, 1)}
    line |= {"cost_macs": quality.cost_macs, "cost": quality.cost}
    line |= load_columns(case.load)
    line |= under_load_columns(case.under_load)
    line["capacity_rows_per_s"] = None if capacity is None else capacity.rows_per_s
    line["capacity_server_cpu_ms"] = None if capacity is None else capacity.server.cpu_ms
    line["is_capacity_generator_limited"] = None if capacity is None else capacity.is_generator_limited
    return line | (_difference_columns(case.difference) if case.difference else {})


def load_columns(load: LoadFigures) -> Line:
    line: Line = {name: getattr(load.latency, name) for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms")}
    line["service_p50_ms"] = None if load.service is None else load.service.p50_ms
    line["service_p99_ms"] = None if load.service is None else load.service.p99_ms
    line["offered_requests_per_s"] = load.offered_rate
    line |= {"requests_per_s": load.requests_per_s, "rows_per_s": load.rows_per_s}
    line |= {"num_requests": load.num_requests, "num_errors": load.num_errors}
    line |= {"server_cpu_ms": load.server.cpu_ms, "server_queue_ms": load.server.queue_ms}
    members = load.server.member_ms
    line["server_member_ms"] = None if members is None else sum(members.values())
    return line | {f"generator_{name}": value for name, value in asdict(load.generator).items()}


def under_load_columns(figures: UnderLoad) -> Line:
    line: Line = {}
    for name in ("accuracy", "answered_accuracy", "coverage", "risk", "agreement"):
        line |= share_columns(f"under_load_{name}", getattr(figures, name))
    line |= {f"under_load_exits_{stage}": share.value for stage, share in enumerate(figures.exit_shares, 1)}
    for name in ("cost", "degraded", "shed", "failed", "good", "kept", "in_time"):
        line[f"under_load_{name}"] = getattr(figures, name)
    return line


def _difference_columns(difference: Difference) -> Line:
    line: Line = {}
    for name, value in vars(difference).items():
        if name == "cost":
            line["difference_cost"] = value
        else:
            line |= share_columns(f"difference_{name}", value)
    return line


def share_columns(name: str, share: Estimate | None) -> Line:
    low, high = (None, None) if share is None else (share.low, share.high)
    return {name: None if share is None else share.value, f"{name}_low": low, f"{name}_high": high}
