"""A request and its answer, in no protocol's terms. Arrays are views wherever they can be."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Parameter = bool | int | float | str

OUTPUT_DATATYPES = {
    "probabilities": "FP32",
    "label": "INT64",
    "score": "FP32",
    "confidence": "FP32",
    "accepted": "BOOL",
    "exit_stage": "INT32",
    "exit_reason": "BYTES",
}
"""Every cascade's outputs. All are `[-1]`, but for `probabilities`, `[-1, classes]`."""


@dataclass(frozen=True, slots=True)
class InferRequest:
    """Inputs by name; the first dimension of each is the batch. `outputs` empty means all.

    `deadline_s` is when the transport's own patience ends, on the monotonic clock. `traceparent` is what the
    client sent of that name, where traces are kept.
    """

    model: str
    version: str
    inputs: Mapping[str, NDArray[np.generic]]
    datatypes: Mapping[str, str]
    id: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    deadline_s: float = math.inf
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class InferResponse:
    """Outputs and their datatypes by name. `exit_reason` holds one of the reasons' byte strings per row."""

    model: str
    version: str
    id: str
    parameters: Mapping[str, Parameter]
    datatypes: Mapping[str, str]
    outputs: Mapping[str, NDArray[np.generic] | list[bytes]]
