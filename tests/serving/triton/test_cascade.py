"""A cascade whose members run in Triton answers as its replay says, and goes on without a Triton."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cascade.cascade_file import Cascade
from cascade.cascade_file import Member as MemberSpec
from cascade.decision import ExitReason
from cascade.replay import replay
from serving.config import Limits, SchedulerConfig
from serving.engine import Engine
from serving.jobs import Job
from serving.loading import Loader, read_cascades
from serving.members import Member, load_member
from serving.messages import InferRequest
from serving.registry import Registry
from serving.triton import member
from serving.triton.bundled import QUICK
from serving.triton.config import BundledConfig, TritonConfig
from serving.triton.loading import Triton
from serving.triton.supervised import Supervised
from tests.conformance.targets import shared_repository
from tests.repositories import Repository

ROWS = 64
REASON = int(ExitReason.MEMBER_FAILED)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return shared_repository(tmp_path_factory.mktemp("cascade"))


@pytest.fixture
def triton(installed: None, repository: Repository) -> Iterator[Supervised]:
    supervised = Supervised(BundledConfig(repository=repository.path, arguments=(QUICK,)))
    supervised.start()
    yield supervised
    supervised.stop()


@pytest.fixture(params=[False, True], ids=["calls", "shared memory"])
def source(
    request: pytest.FixtureRequest, triton: Supervised, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Triton]:
    monkeypatch.setattr(member, "SHARED_FROM_BYTES", 0)
    assert triton.server is not None
    config = TritonConfig(urls=(triton.server.grpc,), use_shared_memory=request.param)
    source = Triton(config)
    source.wait_until_live()
    yield source
    source.close()


def loaded(repository: Path, source: Triton) -> Registry:
    return Loader(repository, 32, load_member=source.load_member).load_all(read_cascades(repository))


async def ask(engine: Engine, repository: Repository) -> list[Job]:
    """A request for each row, all at once."""
    images = repository.test.image[:ROWS]
    requests = [
        InferRequest("digits", "", {"image": images[row : row + 1]}, {"image": "UINT8"})
        for row in range(ROWS)
    ]
    return await asyncio.gather(*map(engine.infer, requests))


def test_rows_take_the_same_ways(repository: Repository, source: Triton) -> None:
    async def scenario() -> list[Job]:
        engine = Engine(loaded(repository.path, source), SchedulerConfig(num_workers=2), Limits())
        engine.start()
        jobs = await ask(engine, repository)
        engine.stop()
        return jobs

    jobs = asyncio.run(scenario())
    cascade = repository.cascade
    played = replay(
        cascade.policies[cascade.default_policy], cascade.stages, repository.scores.rows(np.arange(ROWS))
    )
    assert len({int(job.answer.exit_stage[0]) for job in jobs}) > 1
    for row, job in enumerate(jobs):
        assert job.answer.exit_stage[0] == played.exit_stage[row]
        np.testing.assert_allclose(job.answer.probabilities[0], played.probabilities[row], atol=1e-5)


def test_a_triton_that_dies_costs_no_request_its_answer(
    repository: Repository, triton: Supervised, source: Triton
) -> None:
    """The first member runs here, so that there is always something to answer with."""
    first = repository.cascade.stages[0][0]

    def load(folder: Path, spec: MemberSpec, cascade: Cascade, max_rows: int) -> Member:
        is_first = spec.name == first
        return (load_member if is_first else source.load_member)(folder, spec, cascade, max_rows)

    async def scenario() -> list[Job]:
        loader = Loader(repository.path, 32, load_member=load)
        registry = loader.load_all(read_cascades(repository.path))
        engine = Engine(registry, SchedulerConfig(num_workers=2), Limits())
        engine.start()
        before = await ask(engine, repository)
        assert triton.server is not None
        os.kill(triton.server.process.pid, signal.SIGKILL)
        triton.server.process.wait()
        jobs = await ask(engine, repository)
        engine.stop()
        assert REASON not in {int(job.answer.exit_reason[0]) for job in before}
        return jobs

    jobs = asyncio.run(scenario())
    answers = [job.final_answer for job in jobs]
    assert REASON in {int(answer.exit_reason[0]) for answer in answers}
