"""From a finished job to the response that both protocols encode."""

import numpy as np
from numpy.typing import NDArray

from cascade.decision import ExitReason
from serving.jobs import Job
from serving.messages import InferRequest, InferResponse, Parameter

REASONS = [ExitReason(code).wire_name.encode() for code in range(len(ExitReason))]


def respond(request: InferRequest, job: Job) -> InferResponse:
    """The outputs that were asked for, all of them where none was named."""
    outputs = job.served.outputs
    names = request.outputs or tuple(outputs)
    return InferResponse(
        model=job.served.name,
        version=job.served.version,
        id=request.id,
        parameters=_parameters(job),
        datatypes={name: outputs[name].datatype for name in names},
        outputs={name: _output(job, name) for name in names},
    )


def _parameters(job: Job) -> dict[str, Parameter]:
    told: dict[str, Parameter] = {
        "policy": job.policy_name,
        "cascade_version": job.served.version,
        "degraded": job.is_degraded,
    }
    return told if job.gear is None else told | {"gear": job.gear}


def _output(job: Job, name: str) -> NDArray[np.generic] | list[bytes]:
    if name == job.served.raw_output:
        return _raw(job)
    answer = job.final_answer
    if name == "exit_reason":
        return [REASONS[code] for code in answer.exit_reason.tolist()]
    array: NDArray[np.generic] = getattr(answer, name)
    return array


def _raw(job: Job) -> NDArray[np.generic]:
    """A single stage is never cut short, so its one member has answered for all rows."""
    (outputs,) = job.outputs
    if outputs is None:
        raise AssertionError("a job is done and its only member has not run")
    return outputs
