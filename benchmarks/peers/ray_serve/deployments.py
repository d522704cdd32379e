"""The cascade in Ray Serve.

As its documentation composes models: an ingress that calls two members, each a deployment that batches.
Or, to show what the calls between deployments cost, as one deployment that batches and runs both members.
"""

import asyncio
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.responses import JSONResponse

from benchmarks.peers.assignment import Assignment
from benchmarks.peers.batch_cascade import BatchCascade, Prediction
from benchmarks.peers.gating import combined, forwarded, softmax
from benchmarks.peers.ray_serve.setting import RaySetting
from benchmarks.peers.session import Logits, Session, rows_of

MAX_ONGOING = 128
"""Ray's default of 5 would hold most of 32 clients back from the batches."""

LITTLE_CPU = {"num_cpus": 0.1}
"""Ray only counts it: with its default of one each, the replicas would not all be started on two cores."""


def application(assignment: Assignment) -> Any:
    """What `serve.run` takes."""
    setting = RaySetting(**assignment.setting)
    if setting.composition == "one":
        return _deployment(_one(setting), "One", setting.ingress_replicas).bind(assignment)
    member = _member(setting)
    first, second = (
        _deployment(member, name, setting.member_replicas).bind(file)
        for name, file in zip(("First", "Second"), assignment.members, strict=True)
    )
    ingress = _deployment(Ingress, "Ingress", setting.ingress_replicas)
    return ingress.bind(first, second, assignment.threshold)


def _deployment(kind: type, name: str, replicas: int) -> Any:
    return serve.deployment(
        kind,
        name=name,
        num_replicas=replicas,
        max_ongoing_requests=MAX_ONGOING,
        ray_actor_options=LITTLE_CPU,
    )


def _batched(setting: RaySetting) -> Any:
    return serve.batch(
        max_batch_size=setting.max_batch,
        batch_wait_timeout_s=setting.wait_s,
        max_concurrent_batches=setting.concurrent_batches,
    )


class Ingress:
    def __init__(self, first: DeploymentHandle, second: DeploymentHandle, threshold: float) -> None:
        self._first = first
        self._second = second
        self._threshold = threshold

    async def __call__(self, request: Request) -> JSONResponse:
        body = await request.body()
        probabilities = softmax((await self._first.remote(body))[None])
        exit_stage = 1
        if len(forwarded(probabilities, self._threshold)) > 0:
            probabilities = combined(probabilities, softmax((await self._second.remote(body))[None]))
            exit_stage = 2
        return JSONResponse({"label": int(probabilities.argmax()), "exit_stage": exit_stage})


def _member(setting: RaySetting) -> type:
    """A class of its own for each setting, since the decorator takes the batch's limits."""

    class Member:
        def __init__(self, file: str) -> None:
            self._session = Session(Path(file), setting.member_threads)

        @_batched(setting)  # type: ignore[untyped-decorator]
        async def __call__(self, bodies: list[bytes]) -> list[Logits]:
            """In a thread, so that requests are taken in meanwhile."""
            return list(await asyncio.to_thread(self._session.run, rows_of(bodies)))

    return Member


def _one(setting: RaySetting) -> type:
    class One:
        def __init__(self, assignment: Assignment) -> None:
            self._cascade = BatchCascade(assignment, setting.member_threads)

        async def __call__(self, request: Request) -> JSONResponse:
            return JSONResponse((await self._predict(await request.body()))._asdict())

        @_batched(setting)  # type: ignore[untyped-decorator]
        async def _predict(self, bodies: list[bytes]) -> list[Prediction]:
            return await asyncio.to_thread(self._cascade.run, bodies)

    return One
