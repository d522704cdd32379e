"""`python -m serving` with two leaks built in, for benchmarks.leak to find: bodies, and file descriptors."""

import os
import sys

from serving.__main__ import main
from serving.http.asgi import Message, Receive, Scope, Send
from serving.http.infer import InferenceRoute

REQUESTS_PER_DESCRIPTOR = 1000
answer = InferenceRoute.__call__
kept: list[bytes] = []
descriptors: list[int] = []


async def answer_and_keep(route: InferenceRoute, scope: Scope, receive: Receive, send: Send) -> None:
    async def receive_and_keep() -> Message:
        message = await receive()
        kept.append(message.get("body", b"") + b"")
        return message

    if len(kept) >= REQUESTS_PER_DESCRIPTOR * (len(descriptors) + 1):
        descriptors.append(os.open(os.devnull, os.O_RDONLY))
    await answer(route, scope, receive_and_keep, send)


if __name__ == "__main__":
    InferenceRoute.__call__ = answer_and_keep  # type: ignore[method-assign,assignment]
    sys.exit(main())
