"""KServe's own client, unchanged and with its defaults; runs in .venv-clients, prints what it got as JSON.

python kserve_client.py HTTP GRPC MODEL OUTPUT ROWS.npy
"""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

NOWHERE = "no-such-model"


async def main(http: str, grpc: str, model: str, output: str, rows: str) -> dict[str, Any]:
    images = np.load(rows)
    requests = {kind: made(model, images, is_binary=kind == "binary") for kind in ("json", "binary")}
    found: dict[str, Any] = {}
    base = f"http://{http}"
    headers: dict[str, str] = {}
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        found["rest live"] = await outcome(client.is_server_live(base))
        found["rest ready"] = await outcome(client.is_server_ready(base))
        found["rest model ready"] = await outcome(client.is_model_ready(base, model))
        found["rest no model ready"] = await outcome(client.is_model_ready(base, NOWHERE))
        for kind, request in requests.items():
            answer = client.infer(base, request, model_name=model, response_headers=headers)
            found[f"rest {kind}"] = await outcome(answer, output)
        found["rest encoding"] = headers.get("content-encoding")
        found["rest error"] = await outcome(client.infer(base, requests["json"], model_name=NOWHERE), output)
    async with InferenceGRPCClient(grpc) as client:
        found["grpc live"] = await outcome(client.is_server_live())
        found["grpc ready"] = await outcome(client.is_server_ready())
        found["grpc model ready"] = await outcome(client.is_model_ready(model))
        found["grpc no model ready"] = await outcome(client.is_model_ready(NOWHERE))
        for kind, request in requests.items():
            found[f"grpc {kind}"] = await outcome(client.infer(request), output)
    return found


def made(model: str, images: Any, *, is_binary: bool) -> InferRequest:
    tensor = InferInput("image", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=is_binary)
    return InferRequest(model_name=model, infer_inputs=[tensor], request_id="an-id")


async def outcome(call: Awaitable[Any], output: str = "") -> Any:
    """What came back; of inference the values of `output`; of an error its kind and its beginning."""
    try:
        result = await call
    except Exception as error:
        return [type(error).__name__, str(error)[:500]]
    if not output:
        return result
    (tensor,) = (tensor for tensor in result.outputs if tensor.name == output)
    return {"id": result.id, "model": result.model_name, "values": tensor.as_numpy().tolist()}


if __name__ == "__main__":
    logging.disable()
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
