"""Every row exactly once, gently: what a policy answers, whatever the load."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import CensusError, LoadTestError, TargetError, WireError
from loadtest.traffic.samples import Samples
from loadtest.wire.client import ALL_OUTPUTS, Answer, Client, Status

ROWS_PER_REQUEST = 64
IN_FLIGHT = 4
TIMEOUT_S = 60.0

Advance = Callable[[int], object]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Answers in the order of the samples: `probabilities` (rows, classes), the rest (rows,)."""

    probabilities: NDArray[np.float32]
    label: NDArray[np.int64]
    score: NDArray[np.float32]
    confidence: NDArray[np.float32]
    accepted: NDArray[np.bool_]
    exit_stage: NDArray[np.int32]
    exit_reason: NDArray[np.str_]

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, kw_only=True)
class Census:
    """`executed` is what the server's own statistics say: rows that each member ran for `rows`, None where
    they could not be had."""

    policy: str
    protocol: str
    rows: Rows
    executed: Mapping[str, int] | None
    ood: Rows | None = None
    num_degraded: int = 0


async def take_census(
    client: Client, policy: str, samples: Samples, ood: Samples | None, advance: Advance
) -> Census:
    """CensusError where a request fails: a share of unknown rows would bias every figure."""
    before = await _executed_rows(client)
    answers = await _ask_all(client, policy, samples, advance)
    after = await _executed_rows(client)
    ood_answers = await _ask_all(client, policy, ood, advance) if ood else []
    return Census(
        policy=policy,
        protocol=client.target.protocol,
        rows=_joined(answers),
        executed=None if before is None or after is None else _difference(before, after),
        ood=_joined(ood_answers) if ood else None,
        num_degraded=sum(answer.is_degraded for answer in answers),
    )


async def _executed_rows(client: Client) -> Mapping[str, int] | None:
    """A check of the cost that can't be made is no reason to lose the rest."""
    try:
        return await client.executed_rows()
    except TargetError:
        return None


def _difference(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items()}


async def _ask_all(client: Client, policy: str, samples: Samples, advance: Advance) -> list[Answer]:
    slots = asyncio.Semaphore(IN_FLIGHT)
    parts = [slice(i, i + ROWS_PER_REQUEST) for i in range(0, len(samples), ROWS_PER_REQUEST)]

    async def ask(part: slice) -> Answer:
        async with slots:
            answer = await _ask(client, policy, samples, part)
            advance(len(answer.outputs["label"]))
            return answer

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(part)) for part in parts]
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        if not isinstance(first, LoadTestError):
            raise
        raise CensusError(f"census of {policy!r} over {client.target.protocol}: {first}") from None
    return [task.result() for task in tasks]


async def _ask(client: Client, policy: str, samples: Samples, part: slice) -> Answer:
    inputs = samples.take(part)
    request = client.encode(policy, inputs, ALL_OUTPUTS)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reply = await client.send(request)
    except TimeoutError:
        raise CensusError(f"no answer within {TIMEOUT_S:g} s") from None
    if reply.status is not Status.OK:
        raise CensusError(f"a request failed ({reply.detail})")
    answer = client.decode(reply)
    _check_rows(answer, len(inputs[0].array))
    return answer


def _check_rows(answer: Answer, num_rows: int) -> None:
    for name in ALL_OUTPUTS:
        if name not in answer.outputs:
            raise WireError(f"output {name!r} is missing")
        shape = answer.outputs[name].shape
        if shape[:1] != (num_rows,):
            raise WireError(f"output {name!r} has the shape {list(shape)} for {num_rows} rows")


def _joined(answers: Sequence[Answer]) -> Rows:
    return Rows(**{name: np.concatenate([a.outputs[name] for a in answers]) for name in ALL_OUTPUTS})
