"""Every row exactly once, gently: what a contender answers, whatever the load."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from loadtest.case import Case
from loadtest.errors import CensusError, LoadTestError
from loadtest.measure.server_usage import ServerUsage, measured_server
from loadtest.traffic.samples import Samples
from loadtest.wire.client import Ask, Client, Status
from loadtest.wire.rows import Rows, joined, read_rows
from loadtest.wire.served import ALL_OUTPUTS

ROWS_PER_REQUEST = 64
IN_FLIGHT = 4
TIMEOUT_S = 60.0

Advance = Callable[[int], object]


@dataclass(frozen=True, kw_only=True)
class Census:
    """Answers in the order of the samples. `usage` is the server's while `rows` were asked for, those out of
    distribution left out."""

    case: Case
    rows: Rows
    usage: ServerUsage
    ood: Rows | None = None
    num_degraded: int = 0


async def take_census(
    client: Client, case: Case, samples: Samples, ood: Samples | None, advance: Advance
) -> Census:
    """CensusError where a request fails: a share of unknown rows would bias every figure."""
    async with measured_server(client) as usage:
        answers = await ask_all(client, case, samples, advance)
    ood_answers = await ask_all(client, case, ood, advance) if ood else []
    return Census(
        case=case,
        rows=joined([rows for rows, _ in answers]),
        usage=usage,
        ood=joined([rows for rows, _ in ood_answers]) if ood else None,
        num_degraded=sum(is_degraded for _, is_degraded in answers),
    )


async def ask_all(
    client: Client, case: Case, samples: Samples, advance: Advance, max_stages: int | None = None
) -> list[tuple[Rows, bool]]:
    """Of each request its rows, and whether one of them is degraded; in the order of the samples."""
    slots = asyncio.Semaphore(IN_FLIGHT)
    size = min(ROWS_PER_REQUEST, case.served.max_request_rows or ROWS_PER_REQUEST)
    parts = [slice(i, i + size) for i in range(0, len(samples), size)]

    async def ask(part: slice) -> tuple[Rows, bool]:
        async with slots:
            rows, is_degraded = await _ask(client, case, samples, part, max_stages)
            advance(len(rows))
            return rows, is_degraded

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(part)) for part in parts]
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        if not isinstance(first, LoadTestError):
            raise
        raise CensusError(f"census of {case.name}: {first}") from None
    return [task.result() for task in tasks]


async def _ask(
    client: Client, case: Case, samples: Samples, part: slice, max_stages: int | None
) -> tuple[Rows, bool]:
    inputs = samples.take(part)
    outputs = case.served.asked(ALL_OUTPUTS)
    request = client.encode(Ask(inputs=inputs, outputs=outputs, policy=case.policy, max_stages=max_stages))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reply = await client.send(request)
    except TimeoutError:
        raise CensusError(f"no answer within {TIMEOUT_S:g} s") from None
    if reply.status is not Status.OK:
        raise CensusError(f"a request failed ({reply.detail})")
    answer = client.decode(reply)
    return read_rows(answer, case.served, len(inputs[0].array)), answer.is_degraded
