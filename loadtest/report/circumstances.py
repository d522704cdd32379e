"""When, where and how a report came about, in words."""

import os
import platform
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from loadtest.config import LoadConfig
from loadtest.figures.results import Results

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """That the generator ran on."""

    cpu: str
    num_cores: int
    system: str
    python: str


def this_machine() -> Machine:
    return Machine(
        cpu=_cpu_model(),
        num_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def _cpu_model() -> str:
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown")


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """`command` is as it was typed; `started` is a UTC time in ISO 8601."""

    command: str
    started: str
    machine: Machine

    @property
    def started_in_words(self) -> str:
        return datetime.fromisoformat(self.started).strftime("%d %B %Y, %H:%M UTC")


def described(results: Results, around: Circumstances) -> list[tuple[str, str]]:
    machine = around.machine
    return [
        ("Command", around.command),
        ("Started", around.started_in_words),
        (
            "Machine of the generator",
            f"{machine.cpu}, {machine.num_cores} cores, {machine.system}, Python {machine.python}",
        ),
        ("Quality", _quality(results)),
        ("Latency", _latency(results)),
        ("Capacity", _capacity(results)),
        ("Files", "figures in summary.json and summary.csv, raw samples in raw/*.npz"),
    ]


def _quality(results: Results) -> str:
    campaign = results.campaign
    strange = f" and {len(campaign.ood):,} out-of-distribution rows" if campaign.ood else ""
    return (
        f"each of {len(campaign.samples):,} test rows{strange} sent exactly once per policy and protocol, "
        "few requests in flight"
    )


def load_in_words(load: LoadConfig) -> str:
    rows = "1 row" if load.rows_per_request == 1 else f"{load.rows_per_request} rows"
    return f"{load.rate:g} requests/s of {rows}, {load.arrivals} arrivals, {load.duration_s:g} s each"


def _latency(results: Results) -> str:
    load = results.campaign.config.load
    return (
        f"open loop, {load_in_words(load)} ({len(results.campaign.schedule):,} requests), seed {load.seed}; "
        "the same arrivals and rows for every policy and protocol; a request is given up "
        f"{load.timeout_s:g} s after its intended send; at most {load.max_in_flight} in flight; waiting to "
        "be sent counts, and a request without an answer ranks above all that have one"
    )


def _capacity(results: Results) -> str:
    capacity = results.campaign.config.capacity
    if not capacity.seconds:
        return "not measured"
    return (
        f"closed loop, always {capacity.in_flight} requests of {capacity.rows_per_request} rows in flight, "
        f"{capacity.seconds:g} s"
    )
