"""From a decoded request to a job: everything that can be wrong with it is said here."""

import math

import numpy as np

from cascade.cascade_file import TensorSpec
from serving.config import Limits
from serving.errors import InvalidRequest, Unsupported
from serving.jobs import DEFAULT_LEVEL, LOWEST_LEVEL, Job, Terms
from serving.messages import InferRequest, Parameter
from serving.request_checks import check_datatype, check_rows, check_shape, other_inputs
from serving.served import ServedCascade

PARAMETERS = ("policy", "max_stages", "timeout", "priority", "strict")
NOT_SERVED = ("sequence_id", "sequence_start", "sequence_end")


def admit(request: InferRequest, served: ServedCascade, limits: Limits, arrived_s: float, number: int) -> Job:
    """Check a request against its model; raises a RequestError that names what is wrong. Its policy is
    the one that it names, else that of the gear engaged, else the default one."""
    _check_parameters(request)
    _check_outputs(request, served)
    _check_inputs(request, served, limits)
    asked = _policy_name(request.parameters.get("policy"))
    gear = served.gear if asked is None else None
    name, policy = served.policy(asked if gear is None else served.cascade.gears[gear])
    max_stages = _max_stages(request.parameters.get("max_stages"), served.num_stages)
    inputs = {spec.name: request.inputs[spec.name] for spec in served.cascade.inputs}
    return Job(served, name, policy, max_stages, inputs, _terms(request, arrived_s, number), gear, request.id)


def _check_parameters(request: InferRequest) -> None:
    for name in request.parameters:
        if name in NOT_SERVED:
            raise Unsupported(f"request parameter {name!r} is not supported by this server")
        if name not in PARAMETERS and not name.startswith("triton_"):
            known = ", ".join(PARAMETERS)
            raise InvalidRequest(f"unknown request parameter {name[:80]!r}; there are: {known}")


def _policy_name(value: Parameter | None) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"request parameter 'policy' must be a string, got {value!r}")
    return value


def _max_stages(value: Parameter | None, num_stages: int) -> int | None:
    """None where it cuts nothing short."""
    stages = num_stages if value is None else _whole("max_stages", value, 1)
    return stages if stages < num_stages else None


def _terms(request: InferRequest, arrived_s: float, number: int) -> Terms:
    """The earlier of the deadlines that the client and its transport name; a timeout of 0 is none."""
    timeout_us = _whole("timeout", request.parameters.get("timeout", 0), 0)
    level = _whole("priority", request.parameters.get("priority", 0), 0, LOWEST_LEVEL)
    strict = request.parameters.get("strict", False)
    if not isinstance(strict, bool):
        raise InvalidRequest(f"request parameter 'strict' must be true or false, got {strict!r}")
    own_s = arrived_s + timeout_us / 1e6 if timeout_us else math.inf
    return Terms(
        arrived_s=arrived_s,
        number=number,
        deadline_s=min(own_s, request.deadline_s),
        level=level or DEFAULT_LEVEL,
        is_strict=strict,
    )


def _whole(name: str, value: Parameter, least: int, most: float = math.inf) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    bounds = f"from {least}" if math.isinf(most) else f"from {least} to {most}"
    raise InvalidRequest(f"request parameter {name!r} must be a whole number {bounds}, got {value!r}")


def _check_outputs(request: InferRequest, served: ServedCascade) -> None:
    for name in request.outputs:
        if name not in served.outputs:
            raise InvalidRequest(f"unknown output {name[:80]!r}; there are: {', '.join(served.outputs)}")
    if len(set(request.outputs)) != len(request.outputs):
        raise InvalidRequest("an output is requested twice")


def _check_inputs(request: InferRequest, served: ServedCascade, limits: Limits) -> None:
    specs = served.cascade.inputs
    if request.inputs.keys() != {spec.name for spec in specs}:
        raise other_inputs(served, request.inputs)
    for spec in specs:
        _check_input(spec, request)
    counts = {request.inputs[spec.name].shape[0] for spec in specs}
    if len(counts) > 1:
        raise InvalidRequest(f"inputs have different numbers of rows: {sorted(counts)}")
    check_rows(counts.pop(), limits)


def _check_input(spec: TensorSpec, request: InferRequest) -> None:
    array = request.inputs[spec.name]
    check_datatype(spec, request.datatypes[spec.name])
    check_shape(spec, array.shape)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidRequest(f"input {spec.name!r} holds values that are not finite")
