"""A short campaign against the tiny server, up to its results: no report is drawn."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.cli import parse
from loadtest.figures.results import Results, compute_results
from loadtest.measure.campaign import run_campaign
from loadtest.progress import Progress
from loadtest.raw import RawFiles
from tests.loadtest.tiny_server import TinyServer

FAST = ["--rate", "100", "--duration", "0.3", "--capacity-seconds", "0.2"]


def rows(folder: Path, name: str, **changes: Any) -> Path:
    """Ten rows of score 0.05, 0.15, ...; the answer is their second number, right but for row 7."""
    answer = np.arange(10) % 2
    labels = np.where(np.arange(10) == 7, 1 - answer, answer)
    x = np.stack([np.arange(10) / 10 + 0.05, answer], axis=1).astype(np.float32)
    np.savez(folder / name, **({"x": x, "labels": labels} | changes))
    return folder / name


def results_of(server: TinyServer, folder: Path, *more: str) -> Results:
    """Over both protocols."""
    files = ["--samples", str(rows(folder, "test.npz")), "--out", str(folder / "report")]
    urls = [server.http_url, server.grpc_url]
    config = parse([*urls, "--model", "tiny", *files, *FAST, *more])
    return compute_results(asyncio.run(run_campaign(config, Progress(), RawFiles(folder))))
