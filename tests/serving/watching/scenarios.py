"""What tests do to a repository that is followed."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import numpy as np

from cascade.cascade_file import SUFFIX, write_cascade
from serving.messages import InferRequest
from tests.repositories import Repository
from tests.serving.followed import Followed, followed

Scenario = Callable[[Followed], Coroutine[None, None, None]]


def follow(repository: Repository, scenario: Scenario) -> None:
    async def whole() -> None:
        async with followed(repository.path) as it:
            await scenario(it)

    asyncio.run(asyncio.wait_for(whole(), 30))


def write(repository: Repository, version: int, name: str = "digits", **changes: Any) -> None:
    cascade = replace(repository.cascade, name=name, version=version, **changes)
    write_cascade(repository.path / f"{name}{SUFFIX}", cascade)


def request(repository: Repository, rows: int = 1) -> InferRequest:
    image = np.resize(repository.test.image, (rows, 8, 8, 1))
    return InferRequest("digits", "", {"image": image}, {"image": "UINT8"}, parameters={"policy": "full"})
