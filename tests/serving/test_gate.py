"""The gate against the replay, with batches that split, merge and mix what requests ask for."""

import numpy as np
import pytest

from cascade.replay import replay
from cascade.stages import Stages
from serving.gate import Gate, gather
from serving.jobs import Batch, Job, Terms, Work
from serving.served import ServedCascade
from tests.repositories import Repository
from tests.serving.scheduling.test_scheduler import Curved


def run_cascade(repository: Repository, jobs: list[Job], split: int, seed: int) -> None:
    """Run all jobs, with saved outputs for members and batches of `split` shuffled pieces."""
    rng = np.random.default_rng(seed)
    gate = Gate()
    waiting = [
        Work(job, np.arange(job.num_rows), 0, slot, 0.0) for job in jobs for slot in job.served.stage_slots[0]
    ]
    while waiting:
        slot = waiting[0].slot
        same = [work for work in waiting if work.slot == slot]
        works = [same[index] for index in rng.permutation(len(same))[:split]]
        waiting = [work for work in waiting if all(work is not chosen for chosen in works)]
        batch = Batch(works[0].job.served.slots[slot], works)
        rows = gather(batch)["image"][:, 0]
        gated = gate.pass_through(batch, repository.scores.outputs[slot, rows])
        for exits in gated.exits:
            exits.job.remaining -= len(exits.rows)
        for work in gated.forwarded:
            for next_slot in work.job.served.stage_slots[work.stage + 1]:
                halves = np.array_split(work.rows, 2)
                waiting += [
                    Work(work.job, half, work.stage + 1, next_slot, 0.0) for half in halves if len(half)
                ]


def make_job(served: ServedCascade, policy: str, rows: np.ndarray, max_stages: int | None) -> Job:
    inputs = {"image": rows.reshape(-1, 1)}
    terms = Terms(arrived_s=0.0, number=0)
    return Job(served, policy, served.cascade.policies[policy], max_stages, inputs, terms)


def served_with(repository: Repository) -> ServedCascade:
    slots = repository.cascade.members_through(len(repository.cascade.stages) - 1)
    return ServedCascade(repository.cascade, tuple(map(Curved, slots)))


@pytest.mark.parametrize("which", ["repository", "wide_repository", "broad_repository"])
@pytest.mark.parametrize("split", [1, 7])
def test_rows_end_as_in_the_replay(which: str, split: int, request: pytest.FixtureRequest) -> None:
    repository: Repository = request.getfixturevalue(which)
    served = served_with(repository)
    rng = np.random.default_rng(3)
    pieces = np.array_split(rng.permutation(repository.scores.num_rows), 40)
    kinds = list(repository.cascade.policies)
    jobs = [
        make_job(served, kinds[number % len(kinds)], piece, (None, 1, 2)[number % 3])
        for number, piece in enumerate(pieces)
    ]
    run_cascade(repository, jobs, split, seed=4)
    for job in jobs:
        _assert_as_replayed(job, repository, repository.cascade.stages)


def _assert_as_replayed(job: Job, repository: Repository, stages: Stages) -> None:
    rows = job.inputs["image"][:, 0]
    played = replay(job.policy, stages, repository.scores.rows(rows), job.max_stages)
    assert job.remaining == 0
    for name in ("label", "accepted", "exit_stage", "exit_reason"):
        assert np.array_equal(getattr(job.answer, name), getattr(played, name)), name
    for name in ("probabilities", "score", "confidence"):
        assert np.array_equal(getattr(job.answer, name), getattr(played, name).astype(np.float32)), name


def test_a_stage_waits_for_its_last_member(wide_repository: Repository) -> None:
    served = served_with(wide_repository)
    job = make_job(served, "full", np.arange(3), None)
    gate, outputs = Gate(), wide_repository.scores.outputs
    batches = [
        Batch(served.slots[0], [Work(job, np.arange(3), 0, 0, 0.0)]),
        Batch(served.slots[0], [Work(job, np.arange(3), 1, 1, 0.0)]),
        Batch(served.slots[0], [Work(job, np.array([0, 2]), 1, 2, 0.0)]),
    ]
    assert len(gate.pass_through(batches[0], outputs[0, :3]).forwarded) == 1
    waiting = gate.pass_through(batches[1], outputs[1, :3])
    assert (waiting.exits, waiting.forwarded) == ([], [])
    done = gate.pass_through(batches[2], outputs[2, [0, 2]])
    assert [len(exits.rows) for exits in done.exits] == [2]
