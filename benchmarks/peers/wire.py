"""How a row travels: a tensor of the KServe protocol, or the body of a request. 3,072 bytes either way."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient

from benchmarks.closed_loop import HttpAnswer, grpc_request, http_request

OUTPUTS = ("label", "exit_stage")


@dataclass(frozen=True)
class Predictions:
    labels: NDArray[np.int64]
    exit_stages: NDArray[np.int64]


class Wire(Protocol):
    @property
    def protocols(self) -> tuple[str, ...]: ...

    def request(self, protocol: str, address: str, image: NDArray[np.uint8]) -> bytes: ...

    def predictions(self, answers: Sequence[HttpAnswer]) -> Predictions: ...


@dataclass(frozen=True)
class KServeWire:
    """Binary tensors, over HTTP or gRPC; of the outputs, label and exit stage are asked for."""

    model: str
    protocols: tuple[str, ...] = ("http", "grpc")

    def request(self, protocol: str, address: str, image: NDArray[np.uint8]) -> bytes:
        if protocol == "grpc":
            return grpc_request(self.model, image[None], outputs=OUTPUTS)
        return http_request(address, self.model, image[None], outputs=OUTPUTS)

    def predictions(self, answers: Sequence[HttpAnswer]) -> Predictions:
        parsed = [
            InferenceServerClient.parse_response_body(answer.body, header_length=answer.json_bytes)
            for answer in answers
        ]
        labels, exit_stages = (
            np.array([result.as_numpy(name).item() for result in parsed], np.int64) for name in OUTPUTS
        )
        return Predictions(labels, exit_stages)


@dataclass(frozen=True)
class BodyWire:
    """The body is the image, the answer a small JSON object."""

    path: str
    protocols: tuple[str, ...] = ("http",)

    def request(self, protocol: str, address: str, image: NDArray[np.uint8]) -> bytes:
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {address}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {image.nbytes}\r\n\r\n"
        )
        return head.encode() + image.tobytes()

    def predictions(self, answers: Sequence[HttpAnswer]) -> Predictions:
        parsed = [json.loads(answer.body) for answer in answers]
        labels, exit_stages = (np.array([each[name] for each in parsed], np.int64) for name in OUTPUTS)
        return Predictions(labels, exit_stages)
