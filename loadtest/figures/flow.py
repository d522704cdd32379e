"""How rows run through the stages of a cascade: who leaves where, how accepted and how right. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.figures.quality import Mask
from loadtest.wire.rows import Rows


@dataclass(frozen=True, kw_only=True)
class Outflow:
    """Some of the rows that leave at a stage: their `share` of all rows, and how many of them are right;
    NaN where there are none."""

    share: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Exit:
    stage: int
    accepted: Outflow
    rejected: Outflow

    @property
    def share(self) -> float:
        return self.accepted.share + self.rejected.share


@dataclass(frozen=True, kw_only=True)
class Flow:
    """In the order of the stages, with every stage."""

    exits: tuple[Exit, ...]

    def reaching(self, stage: int) -> float:
        """The share of rows that come to a stage."""
        return sum(each.share for each in self.exits if each.stage >= stage)

    @property
    def num_exits(self) -> int:
        """Stages at which any row leaves."""
        return sum(each.share > 0 for each in self.exits)


def flow(rows: Rows, labels: NDArray[np.int64], num_stages: int) -> Flow:
    is_right = rows.label == labels
    return Flow(
        exits=tuple(
            Exit(
                stage=stage,
                accepted=_outflow((rows.exit_stage == stage) & rows.accepted, is_right),
                rejected=_outflow((rows.exit_stage == stage) & ~rows.accepted, is_right),
            )
            for stage in range(1, num_stages + 1)
        )
    )


def _outflow(leaves: Mask, is_right: Mask) -> Outflow:
    return Outflow(
        share=float(leaves.mean()), accuracy=float(is_right[leaves].mean()) if leaves.any() else np.nan
    )
