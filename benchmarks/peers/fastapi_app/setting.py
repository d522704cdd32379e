"""What there is to tune in the FastAPI peer."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FastapiSetting:
    """`variant`: `whole` queues a row once and runs the cascade on a batch, the second member on what is
    forwarded of it; `each` has a queue for each member, so that the second one's batches mix the first one's.

    `processes` are uvicorn's; `in_flight` batches of a queue run at once in a process; `wait_s` is how long a
    batch waits for more rows.
    """

    variant: str = "whole"
    processes: int = 1
    in_flight: int = 2
    threads: int = 1
    max_batch: int = 32
    wait_s: float = 0.0
