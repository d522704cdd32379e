"""From a running Triton to members: what it has must be what their cascades say."""

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import grpc
from tritonclient.grpc import service_pb2 as schema
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from cascade.cascade_file import Cascade
from cascade.cascade_file import Member as MemberSpec
from serving.errors import StartupError
from serving.members import check_pinned, path_of
from serving.triton.channel import connect
from serving.triton.config import TritonConfig
from serving.triton.failures import words
from serving.triton.member import TritonMember
from serving.triton.places import Places

log = logging.getLogger("exitgate")
Answer = TypeVar("Answer")
LOOK_EVERY_S = 0.1
LOADING = "LOADING"
FLOATS = ("FP16", "FP32", "FP64")


class Triton:
    """Where members are loaded from. Phases: `wait_until_live`, any number of `load_member`, `close`."""

    def __init__(self, config: TritonConfig) -> None:
        self.config = config
        self._where = f"Triton at {', '.join(config.urls)}"
        self._channel = connect(config)
        self._stub = GRPCInferenceServiceStub(self._channel)
        self._places = Places(self._stub) if config.use_shared_memory else None

    def wait_until_live(self) -> None:
        """StartupError where no address answers within the time for it, or memory cannot be shared."""
        self._wait_until_live(time.monotonic() + self.config.ready_timeout_s)
        if self._places is not None:
            self._places.check(self.config.call_timeout_s)

    def _wait_until_live(self, by_s: float) -> None:
        """One that is being started again too, to which a connection may be there that is about to break."""
        while True:
            try:
                left_s = max(0.0, by_s - time.monotonic())
                self._stub.ServerLive(schema.ServerLiveRequest(), timeout=left_s, wait_for_ready=True)
                return
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > by_s:
                    raise StartupError(f"{self._where} does not answer: {words(error)}") from None
            time.sleep(LOOK_EVERY_S)

    def close(self) -> None:
        """Calls under way fail, those of members too."""
        if self._places is not None:
            self._places.close()
        self._channel.close()

    def load_member(
        self, repository: Path, spec: MemberSpec, cascade: Cascade, max_rows: int
    ) -> TritonMember:
        """A member that Triton has ready, whose batches will have up to `max_rows`. Where this repository has
        its file, that is compared; what Triton has elsewhere cannot be seen. One that loads, and a Triton
        that is away, are waited for."""
        _check_file(repository, spec, cascade)
        by_s = time.monotonic() + self.config.ready_timeout_s
        self._wait_until_live(by_s)
        self._wait_until_ready(spec, by_s)
        name = {"name": spec.name, "version": str(spec.version)}
        metadata = self._ask(self._stub.ModelMetadata, schema.ModelMetadataRequest(**name))
        config = self._ask(self._stub.ModelConfig, schema.ModelConfigRequest(**name)).config
        _check_inputs(spec, cascade, metadata)
        _check_batch(spec, config.max_batch_size, max_rows)
        datatype = _output_datatype(spec, cascade, metadata)
        timeout_s = self.config.call_timeout_s
        return TritonMember(spec, cascade, max_rows, datatype, self._channel, timeout_s, self._places)

    def _wait_until_ready(self, spec: MemberSpec, by_s: float) -> None:
        request = schema.ModelReadyRequest(name=spec.name, version=str(spec.version))
        may_load = self.config.is_ours
        while not self._ask(self._stub.ModelReady, request).ready:
            state, text = self._state(spec)
            if state == LOADING and time.monotonic() < by_s:
                time.sleep(LOOK_EVERY_S)
            elif state != LOADING and may_load:
                may_load = False
                self._load(spec, by_s)
            else:
                raise StartupError(f"member {spec.name!r}: {self._where} {text}")

    def _load(self, spec: MemberSpec, by_s: float) -> None:
        """All versions that are there and that the model's configuration wants, which answer meanwhile."""
        log.info("Triton is told to load %s", spec.name)
        request = schema.RepositoryModelLoadRequest(model_name=spec.name)
        try:
            self._stub.RepositoryModelLoad(request, timeout=max(0.0, by_s - time.monotonic()))
        except grpc.RpcError as error:
            text = f"{error.code().name}: {words(error)}"
            raise StartupError(f"member {spec.name!r}: {self._where} cannot load it: {text}") from None

    def _state(self, spec: MemberSpec) -> tuple[str, str]:
        """Of a version that is not ready, and what to say of it."""
        index = self._ask(self._stub.RepositoryIndex, schema.RepositoryIndexRequest()).models
        known = {model.version: model for model in index if model.name == spec.name}
        if not known:
            return "", "has no such model"
        found = known.get(str(spec.version))
        if found is None:
            versions = ", ".join(filter(None, known)) or "none"
            return "", f"has not loaded version {spec.version} of it, only {versions}"
        reason = f": {found.reason}" if found.reason else ""
        return found.state, f"has version {spec.version} of it {found.state or 'not loaded'}{reason}"

    def _ask(self, call: Callable[..., Answer], request: object) -> Answer:
        try:
            return call(request, timeout=self.config.call_timeout_s)
        except grpc.RpcError as error:
            raise StartupError(f"{self._where}: {error.code().name}: {words(error)}") from None


def _check_file(repository: Path, spec: MemberSpec, cascade: Cascade) -> None:
    path = path_of(spec, repository)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return
    check_pinned(spec, cascade, path, found)


def _check_inputs(spec: MemberSpec, cascade: Cascade, metadata: schema.ModelMetadataResponse) -> None:
    shapes = {spec.inputs[tensor.name]: tensor.shape for tensor in cascade.inputs}
    wanted = {spec.inputs[tensor.name]: tensor.datatype for tensor in cascade.inputs}
    found = {tensor.name: tensor.datatype for tensor in metadata.inputs}
    if found != wanted:
        raise StartupError(f"member {spec.name!r} takes {found}; its cascade says {wanted}")
    for tensor in metadata.inputs:
        if not _fits(tuple(tensor.shape), shapes[tensor.name]):
            raise StartupError(
                f"member {spec.name!r} takes {tensor.name!r} of shape {list(tensor.shape)}; its cascade says "
                f"{list(shapes[tensor.name])}"
            )


def _check_batch(spec: MemberSpec, max_batch_size: int, max_rows: int) -> None:
    """0 is for a model that sees to the rows by itself."""
    if 0 < max_batch_size < max_rows:
        raise StartupError(
            f"member {spec.name!r} takes batches of {max_batch_size} rows in Triton; {max_rows} are too many"
        )


def _output_datatype(spec: MemberSpec, cascade: Cascade, metadata: schema.ModelMetadataResponse) -> str:
    """StartupError where the model has no such output, or none of floating-point numbers."""
    outputs = {tensor.name: tensor for tensor in metadata.outputs}
    if spec.output not in outputs:
        raise StartupError(f"member {spec.name!r} has no output {spec.output!r}, only {', '.join(outputs)}")
    output = outputs[spec.output]
    datatype: str = output.datatype
    if datatype not in FLOATS:
        raise StartupError(f"member {spec.name!r}: output {spec.output!r} is {datatype}, no float")
    if not _fits(tuple(output.shape), (-1, len(cascade.classes))):
        raise StartupError(
            f"member {spec.name!r} gives {spec.output!r} of shape {list(output.shape)}, for "
            f"{len(cascade.classes)} classes"
        )
    return datatype


def _fits(theirs: tuple[int, ...], ours: tuple[int, ...]) -> bool:
    """Whether all that ours may be is something that theirs takes; -1 may be anything."""
    same_rank = len(theirs) == len(ours)
    return same_rank and all(their in (-1, our) for their, our in zip(theirs, ours, strict=True))
