"""A member that runs in Triton."""

import math
import time
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from cascade.cascade_file import Cascade
from cascade.cascade_file import Member as MemberSpec
from serving.members import UNKNOWN_CURVE, member_key
from serving.scheduling.curves import LearntCurve
from serving.triton.failures import Failures, RegionUnknown
from serving.triton.places import Places, size_of
from serving.triton.wire import Inputs, Wire, encoded

METHOD = "/inference.GRPCInferenceService/ModelInfer"
SHARED_FROM_BYTES = 2**16
"""Smaller inputs travel as fast in the call itself."""


class TritonMember:
    """A version of a model in Triton. `curve` is a guess until `warm_up` or the cascade file knows better.

    Its pool is its own, so that one that hangs keeps no other from its workers.
    """

    def __init__(
        self,
        spec: MemberSpec,
        cascade: Cascade,
        max_rows: int,
        output_datatype: str,
        channel: grpc.Channel,
        call_timeout_s: float,
        places: Places | None = None,
    ) -> None:
        self.spec = spec
        self.key = member_key(spec)
        self.pool = self.key
        self.curve = LearntCurve(spec.service_curve or UNKNOWN_CURVE, max_rows)
        self.max_rows = max_rows
        self.output_datatype = output_datatype
        self._call_timeout_s = call_timeout_s
        self._places = places
        self._failures = Failures(spec.name, self.key)
        self._wire = Wire(spec, cascade, output_datatype, self._failures)
        self._infer = channel.unary_unary(METHOD)

    def run(self, inputs: Inputs, deadline_s: float = math.inf) -> NDArray[np.floating]:
        """One call; where it fails it is not made again."""
        by_s = min(time.monotonic() + self._call_timeout_s, deadline_s)
        rows, tensors = len(next(iter(inputs.values()))), encoded(inputs)
        if self._places is not None and sum(map(len, tensors)) >= SHARED_FROM_BYTES:
            outputs = self._shared(self._places, inputs, tensors, rows, by_s)
            if outputs is not None:
                return outputs
        return self._wire.outputs(self._send(self._wire.request(inputs, tensors), by_s), rows)

    def _shared(
        self, places: Places, inputs: Inputs, tensors: list[Any], rows: int, by_s: float
    ) -> NDArray[np.floating] | None:
        """None where there is no place, or Triton, started again, does not know it and has done nothing."""
        num_bytes = size_of(tensors, self._wire.num_output_bytes(rows))
        with places.borrowed(num_bytes, self._left_s(by_s)) as place:
            if place is None:
                return None
            request, spot = self._wire.shared_request(inputs, tensors, place, rows)
            try:
                answer = self._send(request, by_s)
            except RegionUnknown:
                places.forget(place.generation)
                return None
            return self._wire.outputs(answer, rows, spot)

    def _send(self, request: bytes, by_s: float) -> bytes:
        timeout_s = self._left_s(by_s)
        with self._failures.translated():
            answer: bytes = self._infer(request, timeout=timeout_s)
        return answer

    def _left_s(self, by_s: float) -> float:
        left_s = by_s - time.monotonic()
        if left_s <= 0:
            raise self._failures.late()
        return left_s
