"""Whether an exported file computes what its model computes."""

from dataclasses import asdict, dataclass

import numpy as np

from export.errors import CheckError
from export.logits import Classifier, Images, Logits, in_batches

BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Absolute differences of logits over `rows` rows; `changed` is the share of other predictions.

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

    def check_within(self, max_difference: float) -> None:
        """CheckError with the figures. A difference that is no number is within nothing."""
        if not (self.max <= max_difference and self.max_by_batch <= max_difference):
            raise CheckError(
                f"the exported file does not compute what the model does ({self}); "
                f"the maximum allowed is {max_difference:g}"
            )


def measure(model: Classifier, exported: Classifier, images: Images) -> tuple[Differences, Logits]:
    """The differences on all rows, and the exported file's logits."""
    logits = in_batches(exported, images, BATCH_SIZE)
    expected = in_batches(model, images, BATCH_SIZE)
    difference = np.abs(logits.astype(np.float64) - expected)
    alone = in_batches(exported, images[:BATCH_SIZE], 1)
    found = Differences(
        rows=len(images),
        max=float(difference.max()),
        mean=float(difference.mean()),
        changed=float((logits.argmax(axis=1) != expected.argmax(axis=1)).mean()),
        max_by_batch=float(np.abs(alone.astype(np.float64) - logits[:BATCH_SIZE]).max()),
    )
    return found, logits
