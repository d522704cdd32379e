"""A short campaign against the tiny server, up to its results: no report is drawn."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.config import CapacityConfig, Config, Subject
from loadtest.figures.results import Results, compute_results
from loadtest.measure.campaign import run_campaign
from loadtest.progress import Progress
from loadtest.raw import RawFiles
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.rate import constant_rate
from loadtest.wire.targets import parse_target
from tests.loadtest.tiny_server import TinyServer

FAST = ["--rate", "100", "--duration", "0.3", "--capacity-seconds", "0.2"]
FAST_LOAD = LoadConfig(rate=constant_rate(100), duration_s=0.3)


def rows(folder: Path, name: str, **changes: Any) -> Path:
    """Ten rows of score 0.05, 0.15, ...; the answer is their second number, right but for row 7."""
    answer = np.arange(10) % 2
    labels = np.where(np.arange(10) == 7, 1 - answer, answer)
    x = np.stack([np.arange(10) / 10 + 0.05, answer], axis=1).astype(np.float32)
    np.savez(folder / name, **({"x": x, "labels": labels} | changes))
    return folder / name


def results_of(
    server: TinyServer,
    folder: Path,
    *policies: str,
    models: tuple[str, ...] = ("tiny",),
    ood: Path | None = None,
    capacity_s: float = 0.2,
    load: LoadConfig = FAST_LOAD,
) -> Results:
    """Over both protocols; all policies where none is named."""
    config = Config(
        subject=Subject(
            targets=tuple(map(parse_target, (server.http_url, server.grpc_url))),
            models=models,
            policies=policies,
            samples=rows(folder, "test.npz"),
            ood=ood,
        ),
        load=load,
        capacity=CapacityConfig(seconds=capacity_s),
    )
    return compute_results(asyncio.run(run_campaign(config, Progress(), RawFiles(folder))))
