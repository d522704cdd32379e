"""From a finished job to the response that both protocols encode."""

import numpy as np
from numpy.typing import NDArray

from cascade.decision import ExitReason
from serving.jobs import Job
from serving.messages import OUTPUT_DATATYPES, InferRequest, InferResponse

REASONS = [ExitReason(code).wire_name.encode() for code in range(len(ExitReason))]


def respond(request: InferRequest, job: Job) -> InferResponse:
    """The outputs that were asked for, all of them where none was named."""
    names = request.outputs or tuple(OUTPUT_DATATYPES)
    return InferResponse(
        model=job.served.name,
        version=job.served.version,
        id=request.id,
        parameters={
            "policy": job.policy_name,
            "cascade_version": job.served.version,
            "degraded": False,
        },
        outputs={name: _output(job, name) for name in names},
    )


def _output(job: Job, name: str) -> NDArray[np.generic] | list[bytes]:
    if name == "exit_reason":
        return [REASONS[code] for code in job.answer.exit_reason.tolist()]
    array: NDArray[np.generic] = getattr(job.answer, name)
    return array
