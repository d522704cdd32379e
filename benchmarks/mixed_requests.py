"""Requests for a cascade of small images, good ones and many kinds of malformed ones.

Malformed ones carry their number wherever a text is free, so that a server that keeps what it was asked for
keeps something new each time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from benchmarks.closed_loop import grpc_request, http_message, http_request

MOST_ROWS = 4
Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Malformed:
    """`make` takes the request's number. An abandoned one is not waited for: over HTTP the client goes away,
    over gRPC it cancels. After a closing one the server closes the connection."""

    make: Callable[[int], bytes]
    is_abandoned: bool = False
    is_closing: bool = False


def http_good(address: str, model: str, policies: Sequence[str], images: Images) -> list[bytes]:
    """Of each policy and number of rows, binary; and one in JSON."""
    parts = [images[:rows] for rows in range(1, MOST_ROWS + 1)]
    binary = [http_request(address, model, part, policy=policy) for policy in policies for part in parts]
    return [*binary, http_message(address, model, _document(images[:2]))]


def http_malformed(address: str, model: str, images: Images) -> Mapping[str, Malformed]:
    image, good = images[:1], http_request(address, model, images[:1])

    def plain(make_body: Callable[[int], bytes]) -> Malformed:
        return Malformed(lambda n: http_message(address, model, make_body(n)))

    short = _document(image, with_data=False, parameters={"binary_data_size": image.nbytes})
    return {
        "no JSON": plain(lambda n: b"{" * (n % 7 + 1)),
        "JSON of another shape": plain(lambda n: orjson.dumps({"inputs": {f"image-{n}": 1}})),
        "unknown input": plain(lambda n: _document(image, name=f"image-{n}")),
        "unknown datatype": plain(lambda n: _document(image, datatype=f"FP{n}")),
        "wrong shape": plain(lambda n: _document(image, shape=[1, n % 100 + 9, 8, 1])),
        "too few bytes": Malformed(lambda n: http_message(address, model, short + b"few", len(short))),
        "length that is no number": Malformed(lambda n: http_message(address, model, b"{}", f"x{n}")),
        "unknown model": Malformed(lambda n: http_request(address, f"unknown-{n}", image)),
        "unknown policy": Malformed(lambda n: http_request(address, model, image, policy=f"policy-{n}")),
        "no HTTP": Malformed(lambda n: b"nonsense %d\r\n\r\n" % n, is_closing=True),
        "half a body": Malformed(lambda n: good[:-40], is_abandoned=True),
        "half a head": Malformed(lambda n: good[:40], is_abandoned=True),
        "gone before the answer": Malformed(lambda n: good, is_abandoned=True),
    }


def grpc_good(model: str, policies: Sequence[str], images: Images) -> list[bytes]:
    parts = [images[:rows] for rows in range(1, MOST_ROWS + 1)]
    return [grpc_request(model, part, policy=policy) for policy in policies for part in parts]


def grpc_malformed(model: str, images: Images) -> Mapping[str, Malformed]:
    image = images[:1]
    return {
        "no protobuf": Malformed(lambda n: b"\xff" * (n % 50 + 1)),
        "unknown model": Malformed(lambda n: grpc_request(f"unknown-{n}", image)),
        "unknown policy": Malformed(lambda n: grpc_request(model, image, policy=f"policy-{n}")),
        "unknown input": Malformed(lambda n: _message(model, image, name=f"image-{n}")),
        "wrong shape": Malformed(lambda n: _message(model, image, shape=[1, n % 100 + 9, 8, 1])),
        "too few bytes": Malformed(lambda n: _message(model, image, contents=b"few")),
        "cancelled": Malformed(lambda n: grpc_request(model, image), is_abandoned=True),
    }


def _document(image: Images, *, with_data: bool = True, **changed: object) -> bytes:
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(image.shape), **changed}
    if with_data:
        tensor["data"] = image.ravel().tolist()
    return orjson.dumps({"inputs": [tensor]})


def _message(
    model: str,
    image: Images,
    *,
    name: str = "image",
    shape: Sequence[int] | None = None,
    contents: bytes | None = None,
) -> bytes:
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name=name, datatype="UINT8", shape=shape or image.shape)
    request.raw_input_contents.append(image.tobytes() if contents is None else contents)
    serialised: bytes = request.SerializeToString()
    return serialised
