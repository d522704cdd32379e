"""Requests to a real engine whose answers go into a decision log, and reading it back."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from cascade.decision import ExitReason
from cascade.decision_log import schema
from serving.audits import Audit, Done
from serving.config import AuditConfig, Limits, SchedulerConfig
from serving.decision_log import DecisionLog
from serving.engine import Engine
from serving.jobs import Job
from serving.loading import Loader, read_cascades
from serving.messages import InferRequest, Parameter
from tests.repositories import Repository

Row = Mapping[str, Any]


def engine_of(repository: Repository, decided: Done, share: float = 0.0) -> Engine:
    """A share of the rows is audited."""
    registry = Loader(repository.path, 8).load_all(read_cascades(repository.path))
    config, audit = SchedulerConfig(num_workers=2, max_batch_rows=8), AuditConfig(share=share)
    engine = Engine(registry, config, Limits(), audit=audit, decided=decided)
    engine.start()
    return engine


def rows_of(folder: Path) -> list[Row]:
    """Of all files, in the order of their names."""
    rows: list[Row] = []
    for file in sorted(folder.iterdir()):
        table = parquet.read_table(file)
        assert table.schema.equals(schema(), check_metadata=True), file
        rows += table.to_pylist()
    return rows


def as_logged(job: Job, row: int) -> Row:
    """What the log must have of a row, by the job's answer."""
    answer = job.final_answer
    named = ("label", "score", "confidence", "accepted", "exit_stage")
    return {
        "row": row,
        "model": job.served.name,
        "cascade_version": job.served.version,
        "policy": job.policy_name,
        **{name: getattr(answer, name)[row].item() for name in named},
        "exit_reason": ExitReason(answer.exit_reason[row]).wire_name,
        "max_stages": job.max_stages,
    }


def only(row: Row, like: Row) -> Row:
    return {name: row[name] for name in like}


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end_s, "it never came to that"
        time.sleep(0.01)


def served(repository: Repository, folder: Path, *requests: InferRequest, share: float = 0.0) -> list[Job]:
    """The answers, in the order in which they were logged."""
    jobs: list[Job] = []
    log = DecisionLog(folder)

    def decided(job: Job, audit: Audit | None) -> None:
        jobs.append(job)
        log.record(job, audit)

    async def scenario() -> None:
        engine = engine_of(repository, decided, share)
        await asyncio.gather(*map(engine.infer, requests))
        while len(jobs) < len(requests):  # noqa: ASYNC110 - audits have no event
            await asyncio.sleep(0.01)
        await engine.drain()
        engine.stop()

    try:
        asyncio.run(asyncio.wait_for(scenario(), 60))
    finally:
        log.close()
    num_rows = sum(job.num_rows for job in jobs)
    assert (log.num_written, log.num_dropped, log.waiting_bytes) == (num_rows, 0, 0)
    return jobs


def digits(
    repository: Repository,
    start: int,
    rows: int,
    name: str = "",
    model: str = "digits",
    **parameters: Parameter,
) -> InferRequest:
    image = repository.test.image[start : start + rows]
    return InferRequest(model, "", {"image": image}, {"image": "UINT8"}, id=name, parameters=parameters)


def named(job: Job, name: str) -> Job:
    job.request_id = name
    return job
