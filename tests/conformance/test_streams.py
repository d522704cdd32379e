"""ModelStreamInfer, by tritonclient's callbacks and by its asynchronous iterators."""

import queue
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.clients import Client
from tests.conformance.targets import INPUT, Target

pytestmark = pytest.mark.parametrize("kind", ["grpc", "grpc.aio"])

REQUESTS = 8
Answers = list[tuple[Any, Any]]


def streamed(client: Client, target: Target, models: list[str]) -> Answers:
    """Results and errors of one stream, the Nth request with N + 1 rows."""
    requests = [
        {
            "model_name": model,
            "inputs": [client.input(INPUT, target.images(number, number + 1))],
            "request_id": str(number),
            "outputs": [client.output(target.output)],
        }
        for number, model in enumerate(models)
    ]
    return client.run(_iterated(client, requests)) if client.kind == "grpc.aio" else _called(client, requests)


def _called(client: Client, requests: list[dict[str, Any]]) -> Answers:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for request in requests:
        client.async_stream_infer(**request)
    found = [answers.get(timeout=10) for _ in requests]
    client.stop_stream()
    return found


async def _iterated(client: Client, requests: list[dict[str, Any]]) -> Answers:
    async def sent() -> AsyncIterator[dict[str, Any]]:
        for request in requests:
            yield request

    return [pair async for pair in client.raw.stream_infer(sent(), stream_timeout=10)]


def test_answers_come_in_order_with_their_ids(client: Client, target: Target) -> None:
    for number, (result, error) in enumerate(streamed(client, target, [target.model] * REQUESTS)):
        assert error is None
        assert client.answer(result)["id"] == str(number)
        target.check(result.as_numpy(target.output), number, number + 1)


def test_an_error_is_one_requests_alone(client: Client, target: Target) -> None:
    models = [target.model, "no-such-model", target.model]
    answers = streamed(client, target, models)
    assert [error is None for _, error in answers] == [True, False, True]
    assert "no-such-model" in str(answers[1][1])
    for number in (0, 2):
        target.check(answers[number][0].as_numpy(target.output), number, number + 1)


def test_one_stream_after_another(client: Client, target: Target) -> None:
    for _ in range(2):
        assert [error for _, error in streamed(client, target, [target.model] * 2)] == [None, None]
