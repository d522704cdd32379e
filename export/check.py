"""Whether an exported file computes what its model computes."""

from dataclasses import asdict, dataclass

import numpy as np

from export.bounds import Bounds
from export.errors import CheckError
from export.rows import Classifier, Outputs, Rows, run_over

BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Absolute differences of outputs over `rows` rows; `changed` is the share of other predictions.

    `max_by_batch` is that of a row alone from the same row among others, both by the exported file.
    """

    rows: int
    max: float
    mean: float
    changed: float
    max_by_batch: float

    def __str__(self) -> str:
        return (
            f"max {self.max:.1e}, mean {self.mean:.1e}, {self.changed:.2%} of predictions changed on "
            f"{self.rows} rows; max {self.max_by_batch:.1e} between batches"
        )

    def to_json(self) -> dict[str, float]:
        return asdict(self)

    def check_within(self, bounds: Bounds) -> None:
        """CheckError with the figures. A difference that is no number is within nothing."""
        allowed = f"the maximum allowed is {bounds.max_difference:g} (--max-difference)"
        if not self.max <= bounds.max_difference:
            raise self._refused(allowed)
        if not self.max_by_batch <= bounds.max_difference:
            raise CheckError(f"rows are answered otherwise alone than among others ({self}); {allowed}")
        if self.changed > bounds.max_changed:
            raise self._refused(f"{bounds.max_changed:.2%} may change at most (--max-changed)")

    def _refused(self, why: str) -> CheckError:
        return CheckError(f"the exported file does not compute what the model does ({self}); {why}")


def measure(
    model: Classifier, exported: Classifier, rows: Rows, batch_size: int = BATCH_SIZE
) -> tuple[Differences, Outputs]:
    """The differences on all rows, and the exported file's outputs.

    CheckError where the model itself gives what is no finite number.
    """
    expected = run_over(model, rows, batch_size)
    if not np.isfinite(expected).all():
        row = int(np.flatnonzero(~np.isfinite(expected).all(axis=1))[0])
        raise CheckError(f"the model itself gives values that are no finite numbers (row {row})")
    outputs = run_over(exported, rows, batch_size)
    difference = np.abs(outputs.astype(np.float64) - expected)
    alone = run_over(exported, rows, 1, BATCH_SIZE)
    found = Differences(
        rows=len(rows),
        max=float(difference.max()),
        mean=float(difference.mean()),
        changed=float((outputs.argmax(axis=1) != expected.argmax(axis=1)).mean()),
        max_by_batch=float(np.abs(alone.astype(np.float64) - outputs[: len(alone)]).max()),
    )
    return found, outputs
