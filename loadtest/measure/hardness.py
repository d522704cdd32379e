"""The difficulty of each sample, asked of the server: how sure its first stage is."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cascade.errors import CascadeError
from cascade.scores import softmax
from cascade.scores_file import read_scores
from loadtest.case import Case
from loadtest.errors import SamplesError
from loadtest.measure.census import Advance, ask_all
from loadtest.traffic.difficulty import Ranks, difficulty
from loadtest.traffic.samples import Samples
from loadtest.wire.client import Client
from loadtest.wire.rows import joined


async def rank_samples(
    client: Client, case: Case, samples: Samples, calibration: Path | None, advance: Advance
) -> Ranks:
    """Ranked among the calibration's rows, or among the samples themselves. Samples that say their difficulty
    are taken at their word."""
    if samples.difficulty is not None:
        return samples.difficulty
    reference = None if calibration is None else _calibrated(case, calibration)
    answers = await ask_all(client, case, samples, advance, max_stages=1 if case.cascade else None)
    rows = joined([rows for rows, _ in answers])
    if rows.probabilities.shape[1] == 0:
        raise SamplesError(f"{case.served.name!r} tells no probabilities, and the samples no 'difficulty'")
    probabilities = rows.probabilities.astype(np.float64)
    if not np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-3):
        probabilities = softmax(probabilities)
    sureness = probabilities.max(axis=1)
    return difficulty(sureness, sureness if reference is None else reference)


def _calibrated(case: Case, path: Path) -> NDArray[np.float64]:
    """How sure the first stage is of the calibration rows: the largest of its mean probabilities."""
    if case.cascade is None:
        raise SamplesError(f"--calibration: {case.served.name!r} is no cascade")
    try:
        scores = read_scores(path)
    except CascadeError as error:
        raise SamplesError(f"--calibration {error}") from None
    missing = [name for name in case.cascade.stages[0] if name not in scores.names]
    if missing:
        raise SamplesError(f"--calibration {path} has no member {missing[0]!r}")
    columns = [scores.names.index(name) for name in case.cascade.stages[0]]
    outputs = [np.asarray(scores.outputs[column]) for column in columns]
    is_logits = scores.kind == "logits"
    return np.asarray(np.mean([softmax(o) if is_logits else o for o in outputs], axis=0).max(axis=1))
