"""Cases and samples of the tiny server's models, made by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from loadtest.case import Case
from loadtest.generator.load_samples import LoadSamples, RequestSamples, RowSamples
from loadtest.wire.client import Status
from loadtest.wire.served import ServedModel, served_cascade
from loadtest.wire.targets import parse_target
from tests.loadtest.tiny_server import tiny_cascade

TARGET = parse_target("http://127.0.0.1:8000")


def tiny_case(policy: str = "window", *, is_plain: bool = False, over: str = "http") -> Case:
    cascade = tiny_cascade()
    plain = ServedModel(name="tiny-0", inputs=cascade.inputs, outputs=("logits",), scores_output="logits")
    return Case(
        target=TARGET,
        served=plain if is_plain else served_cascade(cascade),
        policy=None if is_plain else policy,
        contender="tiny-0" if is_plain else policy,
        over=over,
    )


def load_samples(sizes: Sequence[int], first_failure: str = "", **changes: Any) -> LoadSamples:
    """Requests of so many rows, a tenth of a second apart and answered within 10 ms; rows are numbered, have
    the label 0, leave where their request does and are accepted. Keys of `changes` that begin with `row_`
    are of rows."""
    num, total = len(sizes), sum(sizes)
    intended = np.arange(num) / 10
    request = np.repeat(np.arange(num), sizes)
    requests: dict[str, Any] = {
        "block": np.zeros(num, np.int32),
        "intended_s": intended,
        "ready_s": intended.copy(),
        "sent_s": intended.copy(),
        "done_s": intended + 0.01,
        "status": np.full(num, Status.OK, np.int8),
        "num_rows": np.array(sizes, np.int32),
        "exit_stage": np.ones(num, np.int32),
        "degraded": np.zeros(num, np.bool_),
    } | {name: value for name, value in changes.items() if not name.startswith("row_")}
    rows: dict[str, Any] = {
        "request": request,
        "sample": np.arange(total),
        "label": np.zeros(total, np.int64),
        "exit_stage": requests["exit_stage"][request],
        "accepted": np.ones(total, np.bool_),
        "confidence": np.ones(total, np.float32),
    } | {name.removeprefix("row_"): value for name, value in changes.items() if name.startswith("row_")}
    return LoadSamples(RequestSamples(**requests), RowSamples(**rows), first_failure)
