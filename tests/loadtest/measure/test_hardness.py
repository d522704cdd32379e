import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cascade.scores_file import ScoresFile, write_scores
from loadtest.errors import SamplesError
from loadtest.measure.hardness import rank_samples
from loadtest.traffic.samples import Samples
from loadtest.wire.clients import open_clients
from loadtest.wire.options import WireOptions
from loadtest.wire.served import served_cascade
from loadtest.wire.targets import parse_target
from loadtest.wire.tensors import NamedTensor
from tests.loadtest.tiny_cases import tiny_case
from tests.loadtest.tiny_server import TinyServer, tiny_cascade

# The tiny server's probabilities are 1 - x[1] and x[1].
SURENESS = np.array([0.9, 0.6, 0.7, 0.8], np.float32)


def rank(server: TinyServer, calibration: Path | None = None, **samples: Any) -> np.ndarray:
    x = np.stack([np.zeros(4, np.float32), SURENESS], axis=1)
    pool = Samples(inputs=(NamedTensor("x", "FP32", x),), **samples)

    async def ranked() -> np.ndarray:
        target = parse_target(server.http_url)
        async with open_clients([target], ["tiny"], WireOptions()) as clients:
            case = tiny_case("full")
            assert case.served == served_cascade(tiny_cascade())
            return await rank_samples(clients[target, "tiny"], case, pool, calibration, lambda _: None)

    return asyncio.run(ranked())


def scores(names: tuple[str, str]) -> ScoresFile:
    """The first member is sure of four rows by 0.65 to 0.95."""
    top = np.array([0.65, 0.75, 0.85, 0.95], np.float32)
    first = np.stack([top, 1 - top], axis=1)
    return ScoresFile(
        outputs=np.stack([first, np.full_like(first, 0.5)]),
        kind="probabilities",
        labels=np.zeros(4, np.int64),
        names=names,
        macs=(10.0, 30.0),
    )


def test_samples_are_ranked_among_themselves(server: TinyServer) -> None:
    assert rank(server).tolist() == [0.125, 0.875, 0.625, 0.375]
    assert server.parameters == {"policy": "full", "max_stages": 1}


def test_or_among_the_calibration_s_rows(server: TinyServer, tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.npz", scores(("tiny-0", "tiny-1")))
    assert rank(server, tmp_path / "scores.npz").tolist() == [0.25, 1.0, 0.75, 0.5]


def test_samples_that_tell_are_believed(server: TinyServer) -> None:
    told = np.array([0.1, 0.2, 0.3, 0.4])
    assert rank(server, difficulty=told).tolist() == told.tolist()
    assert server.num_requests == 0


def test_a_calibration_that_is_not_there_or_another_cascade_s_is_refused(
    server: TinyServer, tmp_path: Path
) -> None:
    with pytest.raises(SamplesError, match="no such file"):
        rank(server, tmp_path / "none.npz")
    write_scores(tmp_path / "scores.npz", scores(("other-0", "other-1")))
    with pytest.raises(SamplesError, match="has no member 'tiny-0'"):
        rank(server, tmp_path / "scores.npz")
    assert server.num_requests == 0
