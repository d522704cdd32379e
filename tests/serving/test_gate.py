"""The gate against the replay, with batches that split, merge and mix what requests ask for."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from cascade.decision import ExitReason
from cascade.replay import replay
from cascade.stages import Stages
from serving.errors import MemberFailed, RowsRefused
from serving.gate import Gate, Gated, gather
from serving.jobs import Batch, Job, Terms, Work
from serving.served import ServedCascade
from tests.repositories import Repository
from tests.serving.scheduling.test_scheduler import Curved


def run_cascade(
    repository: Repository, jobs: list[Job], split: int, seed: int, failed: Sequence[str] = ()
) -> None:
    """Run all jobs, with saved outputs for members and batches of `split` shuffled pieces; members that
    `failed` give nothing."""
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
        if works[0].job.served.slot_names[slot] in failed:
            gated = gate.lose(works, MemberFailed("gone"))
        else:
            gated = gate.pass_through(batch, repository.scores.outputs[slot, rows])
        for exits in gated.exits:
            exits.job.remaining -= len(exits.rows)
        for work in gated.forwarded + gated.fell_over:
            for next_slot in work.job.served.stage_slots[work.stage + 1]:
                halves = np.array_split(work.rows, 2)
                waiting += [
                    Work(work.job, half, work.stage + 1, next_slot, 0.0) for half in halves if len(half)
                ]


def make_job(
    served: ServedCascade, policy: str, rows: np.ndarray, max_stages: int | None, strict: bool = False
) -> Job:
    inputs = {"image": rows.reshape(-1, 1)}
    terms = Terms(arrived_s=0.0, number=0, is_strict=strict)
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


@pytest.mark.parametrize("which", ["repository", "wide_repository", "broad_repository"])
@pytest.mark.parametrize("split", [1, 7])
def test_without_members_rows_end_as_in_the_replay(
    which: str, split: int, request: pytest.FixtureRequest
) -> None:
    repository: Repository = request.getfixturevalue(which)
    served = served_with(repository)
    names = served.slot_names
    for number, failed in enumerate(_subsets(names)):
        rng = np.random.default_rng(number)
        pieces = np.array_split(rng.permutation(repository.scores.num_rows)[:60], 10)
        kinds = list(repository.cascade.policies)
        jobs = [
            make_job(served, kinds[place % len(kinds)], piece, (None, 1, 2)[place % 3])
            for place, piece in enumerate(pieces)
        ]
        run_cascade(repository, jobs, split, seed=4, failed=failed)
        for job in jobs:
            _assert_as_replayed(job, repository, repository.cascade.stages, failed)


def _subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All that can fail and leave somebody."""
    return [some for size in range(1, len(names)) for some in combinations(names, size)]


def _assert_as_replayed(job: Job, repository: Repository, stages: Stages, failed: Sequence[str] = ()) -> None:
    rows = job.inputs["image"][:, 0]
    played = replay(job.policy, stages, repository.scores.rows(rows), job.max_stages, failed=failed)
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


def first_stage(served: ServedCascade, strict: bool = False) -> tuple[Job, list[Work]]:
    job = make_job(served, "full", np.arange(4), None, strict)
    return job, [Work(job, np.arange(4), 0, 0, 0.0)]


def through_first(repository: Repository, outputs: np.ndarray) -> tuple[Job, Gated]:
    served = served_with(repository)
    job, works = first_stage(served)
    return job, Gate().pass_through(Batch(served.slots[0], works), outputs)


@pytest.mark.parametrize("lie", [np.nan, np.inf, -np.inf])
def test_rows_of_which_a_member_says_nothing_go_on_without_it(repository: Repository, lie: float) -> None:
    outputs = repository.scores.outputs[0, :4].copy()
    outputs[2, 1] = lie
    job, gated = through_first(repository, outputs)
    assert [work.rows.tolist() for work in gated.forwarded] == [[0, 1, 3]]
    assert [work.rows.tolist() for work in gated.fell_over] == [[2]]
    assert (gated.num_lost, gated.failed, gated.exits) == (1, [], [])
    assert "can be no prediction" in str(job.loss)


def test_a_strict_request_loses_no_member(repository: Repository) -> None:
    served = served_with(repository)
    job, works = first_stage(served, strict=True)
    error = MemberFailed("gone")
    assert Gate().lose(works, error).failed == [(job, error)]


def test_rows_that_the_first_member_refuses_are_the_clients_to_mend(repository: Repository) -> None:
    served = served_with(repository)
    job, works = first_stage(served)
    error = RowsRefused("no such token")
    assert Gate().lose(works, error).failed == [(job, error)]


def test_rows_that_a_later_member_refuses_have_an_answer(repository: Repository) -> None:
    served = served_with(repository)
    job, works = first_stage(served)
    gate = Gate()
    gate.pass_through(Batch(served.slots[0], works), repository.scores.outputs[0, :4])
    gated = gate.lose([Work(job, np.arange(4), 1, 1, 0.0)], RowsRefused("no such token"))
    (exits,) = gated.exits
    assert (gated.failed, exits.stage, exits.at, exits.is_degraded) == ([], 0, 1, True)
    assert set(exits.reasons.tolist()) == {ExitReason.MEMBER_FAILED}


def test_where_nobody_answers_there_is_no_answer(repository: Repository) -> None:
    served = served_with(repository)
    job, _ = first_stage(served)
    gate, last = Gate(), MemberFailed("the last one")
    for stage in range(served.num_stages - 1):
        gated = gate.lose([Work(job, np.arange(4), stage, stage, 0.0)], MemberFailed("gone"))
        assert len(gated.fell_over) == 1
    gated = gate.lose([Work(job, np.arange(4), served.num_stages - 1, served.num_stages - 1, 0.0)], last)
    assert gated.failed == [(job, last)]
