"""When, where and how a report came about, in words."""

import os
import platform
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from loadtest.figures.results import Results
from loadtest.report.traffic_words import difficulty_in_words, load_in_words
from loadtest.report.wording import listed
from loadtest.traffic.load import LoadConfig

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


Terms = list[tuple[str, str]]


def origin(around: Circumstances) -> Terms:
    machine = around.machine
    return [
        ("Command", around.command),
        ("Started", around.started_in_words),
        (
            "Machine of the generator",
            f"{machine.cpu}, {machine.num_cores} cores, {machine.system}, Python {machine.python}",
        ),
    ]


def described(results: Results, around: Circumstances) -> Terms:
    load = results.campaign.config.load
    return [
        *origin(around),
        ("Compared", _compared(results)),
        ("Quality", _quality(results)),
        ("Load", _load(results)),
        (
            "Difficulty",
            difficulty_in_words(load) or "rows as the samples have them, each as often as any other",
        ),
        ("Latency", _latency(load)),
        ("Turns", _turns(results)),
        ("Generator", _generator(results)),
        ("Capacity", _capacity(results)),
        (
            "Files",
            "figures in summary.json and summary.csv, histograms in latency-*.hlog, raw samples in raw/*.npz",
        ),
    ]


def _compared(results: Results) -> str:
    campaign = results.campaign
    text = f"{listed(campaign.contenders)} over {listed(campaign.overs)}"
    return text if len(campaign.contenders) == 1 else f"{text}; baseline: {campaign.baseline}"


def _quality(results: Results) -> str:
    campaign = results.campaign
    strange = f" and {len(campaign.ood):,} out-of-distribution rows" if campaign.ood else ""
    return (
        f"each of {len(campaign.samples):,} test rows{strange} sent to each exactly once, few requests in "
        "flight"
    )


def _load(results: Results) -> str:
    campaign = results.campaign
    return (
        f"open loop, {load_in_words(campaign.config.load)}: {len(campaign.schedule):,} requests, "
        f"{len(campaign.schedule.rows):,} rows, seed {campaign.config.load.seed}; "
        "the same arrivals and rows for all that are compared"
    )


def _latency(load: LoadConfig) -> str:
    deadline = (
        "" if load.deadline_ms is None else f"; the server is told a deadline of {load.deadline_ms:g} ms"
    )
    return (
        "from the intended send, so that waiting to be sent counts; a request without an answer ranks above "
        f"all that have one, and is given up after {load.timeout_s:g} s; at most {load.max_in_flight} in "
        f"flight{deadline}"
    )


def _turns(results: Results) -> str:
    campaign = results.campaign
    blocks = campaign.num_blocks
    if blocks == 1:
        return "one after the other, in an order drawn at random"
    return (
        f"{blocks} time blocks of {campaign.block_s:.3g} s; in each block all take their turn, in "
        "an order drawn anew, so that drift of the machine cancels"
    )


def _generator(results: Results) -> str:
    processes = results.campaign.config.generation.processes
    return "1 process" if processes == 1 else f"{processes} processes side by side"


def _capacity(results: Results) -> str:
    capacity = results.campaign.config.capacity
    if not capacity.seconds:
        return "not measured"
    return (
        f"closed loop, always {capacity.in_flight} requests of {capacity.rows_per_request} rows in flight, "
        f"{capacity.seconds:g} s in turns"
    )
