"""A plain FastAPI application: the body of a POST is one image, the answer its label and exit stage.

uvicorn benchmarks.peers.fastapi_app.app:app
"""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import orjson
from fastapi import FastAPI, Request, Response

from benchmarks.peers.assignment import assigned
from benchmarks.peers.fastapi_app.cascade import opened

THREADS = 8
"""Enough for every batch that may be under way; idle ones cost nothing."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    with ThreadPoolExecutor(THREADS) as executor:
        app.state.cascade = opened(assigned(), executor)
        yield
        app.state.cascade.stop()


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
async def predict(request: Request) -> Response:
    prediction = await request.app.state.cascade.predict(await request.body())
    return Response(orjson.dumps(prediction._asdict()), media_type="application/json")
