"""What became of each request of an open loop, as raw samples. Failures are samples like any other."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import WireError
from loadtest.generator.open_loop import OpenLoopRun, Times
from loadtest.wire.client import MISREAD, Client, Status


@dataclass(frozen=True, kw_only=True)
class LoadSamples:
    """All (requests,). Times are seconds from the start, `sent_s` NaN where a request was never sent.

    `exit_stage` is the deepest at which a row of the request left, 0 without an answer.
    """

    intended_s: Times
    ready_s: Times
    sent_s: Times
    done_s: Times
    status: NDArray[np.int8]
    exit_stage: NDArray[np.int32]
    degraded: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.intended_s)

    @property
    def is_answered(self) -> NDArray[np.bool_]:
        return np.equal(self.status, Status.OK)

    @property
    def latency_ms(self) -> Times:
        """From the intended send, so that waiting to be sent counts. Infinite without an answer, however
        soon the request failed: a server that sheds its load must not look fast."""
        return np.where(self.is_answered, (self.done_s - self.intended_s) * 1e3, np.inf)

    @property
    def service_ms(self) -> Times:
        """From the real send, NaN where there was none; infinite without an answer."""
        taken_ms = (self.done_s - self.sent_s) * 1e3
        return np.where(self.is_answered | np.isnan(taken_ms), taken_ms, np.inf)

    @property
    def lag_ms(self) -> Times:
        """How late the generator itself was."""
        return (self.ready_s - self.intended_s) * 1e3

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def load_samples(run: OpenLoopRun, client: Client) -> LoadSamples:
    """Read the replies, the clock having stopped. One that can't be read becomes BROKEN."""
    status = np.array([reply.status for reply in run.replies], np.int8)
    exit_stage = np.zeros(len(status), np.int32)
    degraded = np.zeros(len(status), np.bool_)
    for index in np.flatnonzero(status == Status.OK):
        try:
            answer = client.decode(run.replies[index])
            exit_stage[index] = answer.outputs["exit_stage"].max()
            degraded[index] = answer.is_degraded
        except (WireError, *MISREAD):
            status[index] = Status.BROKEN
    return LoadSamples(
        intended_s=run.intended_s,
        ready_s=run.ready_s,
        sent_s=run.sent_s,
        done_s=run.done_s,
        status=status,
        exit_stage=exit_stage,
        degraded=degraded,
    )
