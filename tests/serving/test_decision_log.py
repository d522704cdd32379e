"""What is in the decision log."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cascade.decision_log import log_files
from cascade.evaluate import evaluate
from cascade.labels_file import read_labels
from cascade.live import live_figures
from cascade.replay import replay
from serving.config import Limits, SchedulerConfig
from serving.decision_log import DecisionLog
from serving.engine import Engine
from serving.jobs import Job
from serving.messages import InferRequest, Parameter
from serving.registry import Registry
from tests.repositories import Repository
from tests.serving.decision_logs import Row, as_logged, digits, only, rows_of, served
from tests.serving.scheduling.test_scheduler import cascade
from tests.serving.test_answer_always import Fallible


def test_every_row_is_logged_as_it_was_answered(repository: Repository, tmp_path: Path) -> None:
    policies = list(repository.cascade.policies)
    requests = [
        *(digits(repository, 3 * k, 1 + k % 5, f"r{k}", policy=policies[k % 5]) for k in range(40)),
        digits(repository, 0, 9, "cut", policy="full", max_stages=2),
        digits(repository, 0, 2, "alone", model="digits-1"),
        digits(repository, 0, 3),
        digits(repository, 5, 1),
    ]
    before = time.time()
    jobs = served(repository, tmp_path, *requests)
    rows = rows_of(tmp_path)
    wanted = [as_logged(job, row) for job in jobs for row in range(job.num_rows)]
    assert [only(row, like) for row, like in zip(rows, wanted, strict=True)] == wanted
    assert {row["exit_stage"] for row in rows} == {1, 2, 3}
    assert {row["max_stages"] for row in rows} == {None, 2}
    sent = Counter({request.id: len(request.inputs["image"]) for request in requests if request.id})
    logged = Counter(row["request_id"] for row in rows)
    made = logged - sent
    assert logged - made == sent
    assert sorted(made.values()) == [1, 3]
    assert {name.rpartition("-")[2] for name in made} == {"1", "2"}
    assert all(name.startswith("exitgate-") for name in made)
    for row in rows:
        stages = row["exit_stage"] if row["model"] == "digits" else 1
        first = 0 if row["model"] == "digits" else 1
        assert row["members"] == ",".join(f"digits-{first + k}/1" for k in range(stages))
        assert before <= row["time"].timestamp() <= time.time()
        assert (row["degraded"], row["audited"], row["audit_label"], row["gear"]) == (
            False,
            False,
            None,
            None,
        )


def test_the_live_risk_is_the_one_of_the_replay(repository: Repository, tmp_path: Path) -> None:
    """Once every label is there."""
    scores, size = repository.scores, 50
    requests = [digits(repository, k, size, f"r{k}") for k in range(0, scores.num_rows, size)]
    served(repository, tmp_path / "log", *requests)
    lines = [f"r{k - k % size},{k % size},{label}" for k, label in enumerate(scores.labels)]
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["request_id,row,label", *lines]))
    told = live_figures(log_files([tmp_path / "log"]), read_labels(labels))
    assert told["labels"] == {"labels": len(lines), "repeated": 0, "unknown": 0, "ambiguous": 0}
    (live,) = told["policies"]
    offline = evaluate(repository.cascade.policies["window"], repository.cascade.stages, scores)
    for name in ("risk", "coverage", "accuracy", "exits"):
        assert live[name] == pytest.approx(offline[name]), name
    assert live["coverage_of_labelled"] == live["coverage"]


class Partial(Fallible):
    """Gives numbers that can be no prediction for rows of 7, once it is allowed to run."""

    def run(self, inputs: Mapping[str, NDArray[Any]], deadline_s: float = 0.0) -> NDArray[np.floating]:
        outputs = super().run(inputs, deadline_s)
        outputs[np.asarray(inputs["x"])[:, 0] == 7.0] = np.nan
        return outputs


def logged(
    folder: Path, *stages: tuple[str, ...], scenario: Callable[[Engine, Any], Coroutine[None, None, Job]]
) -> list[Row]:
    """The log of one request to a cascade of these members; the last of them lies about rows of 7."""
    names = [name for stage in stages for name in stage]
    members = [*(Fallible(name) for name in names[:-1]), Partial(names[-1])]

    async def whole() -> None:
        registry = Registry({"c": cascade(*stages, members=members)})
        engine = Engine(registry, SchedulerConfig(num_workers=4), Limits(), decided=log.record)
        engine.start()
        try:
            await scenario(engine, members[-1])
        finally:
            members[-1].may_run.set()
            engine.stop()

    log = DecisionLog(folder)
    try:
        asyncio.run(asyncio.wait_for(whole(), 20))
    finally:
        log.close()
    return rows_of(folder)


def request(*values: float, **parameters: Parameter) -> InferRequest:
    array = np.array([[value] for value in values], np.float32)
    return InferRequest("c", "", {"x": array}, {"x": "FP32"}, parameters=parameters)


def told(rows: list[Row]) -> list[tuple[str, int, str, bool]]:
    return [(row["members"], row["exit_stage"], row["exit_reason"], row["degraded"]) for row in rows]


@pytest.mark.parametrize(
    ("stages", "whole", "left", "left_stage"),
    [
        ((("a",), ("b",)), "a/1,b/1", "a/1", 1),
        ((("a",), ("b", "c")), "a/1,b/1,c/1", "a/1,b/1", 2),
        ((("a", "b"),), "a/1,b/1", "a/1", 1),
    ],
)
def test_a_row_names_the_members_that_it_got(
    stages: tuple[tuple[str, ...], ...], whole: str, left: str, left_stage: int, tmp_path: Path
) -> None:
    async def scenario(engine: Engine, _: Partial) -> Job:
        return await engine.infer(request(3.0, 7.0, -3.0))

    rows = logged(tmp_path, *stages, scenario=scenario)
    lost = (left, left_stage, "member_failed", True)
    complete = (whole, len(stages), "last", False)
    assert told(rows) == [complete, lost, complete]
    assert [row["label"] for row in rows] == [0, 0, 1]


def test_rows_cut_short_by_a_deadline_are_logged_as_they_were_answered(tmp_path: Path) -> None:
    async def scenario(engine: Engine, last: Partial) -> Job:
        last.may_run.clear()
        return await engine.infer(request(3.0, -3.0, timeout=300_000))

    rows = logged(tmp_path, ("a",), ("b",), scenario=scenario)
    assert told(rows) == [("a/1", 1, "deadline", True)] * 2
    assert [row["label"] for row in rows] == [0, 1]


def test_audits_are_kept_beside_their_rows(repository: Repository, tmp_path: Path) -> None:
    """Half of the rows are drawn, for which the whole ensemble says what it says offline."""
    served(repository, tmp_path, *(digits(repository, 8 * k, 8, str(k)) for k in range(8)), share=0.5)
    rows = rows_of(tmp_path)
    full = repository.cascade.policies["full"]
    labels = replay(full, repository.cascade.stages, repository.scores).label
    audited = [row for row in rows if row["audited"]]
    assert 10 < len(audited) < 54
    assert [row["audit_label"] for row in audited] == [
        labels[8 * int(row["request_id"]) + row["row"]] for row in audited
    ]
    assert {row["audit_label"] for row in rows if not row["audited"]} == {None}
