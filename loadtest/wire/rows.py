"""Answers row by row, of cascades and of plain models alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import WireError
from loadtest.wire.client import Answer
from loadtest.wire.served import LEAN_OUTPUTS, ServedModel

UNSAID = "last"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """`probabilities` (rows, classes), with no classes where they were not asked for; the rest (rows,).
    A plain model's rows leave at stage 1, accepted; its label is the largest of its scores."""

    probabilities: NDArray[np.float32]
    label: NDArray[np.int64]
    score: NDArray[np.float32]
    confidence: NDArray[np.float32]
    accepted: NDArray[np.bool_]
    exit_stage: NDArray[np.int32]
    exit_reason: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.label)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def read_rows(answer: Answer, served: ServedModel, num_rows: int) -> Rows:
    """WireError where an output has another number of rows, or the label can't be told."""
    outputs = {name: _of_rows(name, array, num_rows) for name, array in answer.outputs.items()}
    for name in LEAN_OUTPUTS if served.cascade else ():
        if name not in outputs:
            raise WireError(f"output {name!r} is missing")
    probabilities = outputs.get("probabilities", outputs.get(served.scores_output or ""))
    unknown = np.full(num_rows, np.nan, np.float32)
    return Rows(
        probabilities=np.zeros((num_rows, 0), np.float32) if probabilities is None else probabilities,
        label=_label(outputs, served),
        score=outputs.get("score", unknown),
        confidence=outputs.get("confidence", unknown),
        accepted=outputs.get("accepted", np.ones(num_rows, np.bool_)),
        exit_stage=outputs.get("exit_stage", np.ones(num_rows, np.int32)),
        exit_reason=outputs.get("exit_reason", np.full(num_rows, UNSAID)),
    )


def _of_rows(name: str, array: NDArray[Any], num_rows: int) -> NDArray[Any]:
    """Servers may tell a number for each row as (rows, 1)."""
    if array.shape[:1] != (num_rows,):
        raise WireError(f"output {name!r} has the shape {list(array.shape)} for {num_rows} rows")
    return array.reshape(num_rows) if array.shape == (num_rows, 1) else array


def _label(outputs: Mapping[str, NDArray[Any]], served: ServedModel) -> NDArray[np.int64]:
    name = served.scores_output or "label"
    if name not in outputs:
        raise WireError(f"output {name!r} is missing")
    array = outputs[name]
    if served.scores_output is None:
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise WireError(f"output {name!r} is {array.dtype} {list(array.shape)}, no label for each row")
        return array
    return np.asarray(array.reshape(len(array), -1).argmax(axis=1), np.int64)


def joined(parts: Sequence[Rows]) -> Rows:
    return Rows(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Rows)
        }
    )
