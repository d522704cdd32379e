"""What a policy is fitted for, whatever it is.

An objective says of each row and depth how good an exit there would be (`outcomes`, in [0, 1]), what the
confidence is the chance of (`events`), and which final threshold serves it best. The objectives there are
stand in `cascade.objectives.parse`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.scores import Array
from cascade.window import Mask

Labels = NDArray[np.int64]
OUT_OF_DISTRIBUTION = -1
"""The label of a row of no class."""


@dataclass(frozen=True)
class Others:
    """Rows whose fate is known when others are cut short, `(rows,)` each."""

    accepted: Mask
    outcome: Array
    weight: Array


@dataclass(frozen=True, kw_only=True)
class Objective(ABC):
    """`rank` is what rows compare on, `outcome` in [0, 1] how good accepting each is; both `(rows,)`."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def uses_ood(self) -> bool:
        """Whether out-of-distribution rows are part of the question."""
        return False

    @property
    def can_certify(self) -> bool:
        """Whether it sets a bound on the risk that can be guaranteed."""
        return False

    @property
    def keeps_probabilities(self) -> bool:
        """Whether it speaks of the members' own probabilities, which no temperature or weight may change."""
        return False

    def score(self, asked: str) -> str:
        return asked

    def outcomes(self, score: Array, label: Labels, truth: Labels) -> Array:
        """`(depths, rows)`, from score and label of each depth, and the true labels `(rows,)`."""
        return np.asarray((label == truth), np.float64)

    def events(self, label: Labels, truth: Labels) -> Mask:
        """`(depths, rows)`: what the confidence is the chance of."""
        return np.asarray(label == truth)

    def weights(self, truth: Labels) -> Array:
        """How much each row counts for the objective."""
        return np.ones(len(truth))

    def traffic(self, truth: Labels) -> Array:
        """How much each row counts for the cost."""
        return np.ones(len(truth))

    def for_rest(self, outcome: Array, weight: Array, others: Others) -> "Objective":
        """What is left to ask of rows that end early so that, together with `others`, they serve the
        objective; itself, where the promise is kept by each part alone."""
        return self

    @abstractmethod
    def accept_above(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        """The final threshold that serves the objective best on these rows."""

    @abstractmethod
    def value(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        """The objective's value, read off the rows' own curve."""

    @abstractmethod
    def gain(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        """The value as something to maximise, averaged over neighbouring targets: a choice between fits
        made on one target alone follows the jumps of the curve there."""

    @property
    @abstractmethod
    def target(self) -> float:
        """NaN where there is none."""

    @property
    def is_lower_better(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return self.text.partition("=")[0]
