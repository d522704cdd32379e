"""Takes requests, in a cheaper gear of their cascade before one is refused."""

import logging
import math

from serving.errors import Overloaded
from serving.jobs import Job
from serving.scheduling.backlog import Backlog
from serving.statistics import Statistics

log = logging.getLogger("exitgate")


class GearShift:
    def __init__(self, backlog: Backlog, statistics: Statistics) -> None:
        self._backlog = backlog
        self._statistics = statistics

    def take(self, job: Job, now_s: float) -> None:
        """As `Backlog.take`; the job gets the policy of the gear that is engaged by then."""
        if job.gear is None:
            self._backlog.take(job, now_s)
            return
        self._feel(job, now_s)
        try:
            self._backlog.take(job, now_s)
        except Overloaded:
            if not job.served.gearbox.down(now_s):
                raise
            self._engage(job, is_cheaper=True)
            self._backlog.take(job, now_s)

    def _feel(self, job: Job, now_s: float) -> None:
        gearbox, before = job.served.gearbox, job.served.gearbox.number
        pressure = self._backlog.pressure(job, now_s)
        gearbox.arrived(job.num_rows, pressure, self._dearer_rows_per_s(job), now_s)
        if gearbox.number != before:
            self._engage(job, is_cheaper=gearbox.number > before)

    def _dearer_rows_per_s(self, job: Job) -> float:
        gear = job.served.gearbox.number
        return self._backlog.rows_per_s(job.served, job.flow_in(gear - 1)) if gear else math.inf

    def _engage(self, job: Job, *, is_cheaper: bool) -> None:
        served = job.served
        job.engage(served.gearbox.number)
        self._statistics.shifted(served.name, "down" if is_cheaper else "up")
        log.info("%s shifts to gear %d: policy %s", served.name, served.gearbox.number, job.policy_name)
