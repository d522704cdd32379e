"""What a policy is: everything that decides, but for the stages, which belong to the cascade."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from cascade.calibrator import Calibrator
from cascade.errors import PolicyError
from cascade.scores import score_named
from cascade.window import Tie, Window

KINDS = ("window", "threshold", "agreement", "first", "full")
RankedBy = Literal["score", "confidence"]

ACCEPT_ALL = -math.inf
ACCEPT_NONE = math.inf
FORWARD_ALL = math.inf


@dataclass(frozen=True)
class Subset:
    """What holds for a row that ends with only these members, because others failed or were not asked.

    `calibrator` gives P(correct) for their combination; a score below `accept_above` is rejected.
    """

    members: tuple[str, ...]
    accept_above: float
    calibrator: Calibrator | None = None


@dataclass(frozen=True)
class Placement:
    """How a window was laid, so that it can be laid again where scores have shifted: it takes in `share`
    of the rows that reach its stage, `below` of that share beneath the score `anchor`. At the ends of the
    ranks it `slides` to keep its share, or is cut off, as the paper's are."""

    share: float
    anchor: float
    below: float
    slides: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or math.isnan(self.anchor) or not math.isfinite(self.below):
            raise PolicyError(
                f"a placement needs a share in [0, 1], an anchor and a finite below, got {self}"
            )


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One way of deciding.

    `windows` and `thresholds` have one entry per stage but the last, `weights` one tuple per stage
    over the members so far, `accept_above` one entry per stage: the final threshold on the score of
    a row that the rule itself let go there. `accept_above_cut` is the same for a row that was cut
    short there (it would have been forwarded), fitted on such rows alone, since they are the harder
    ones; `subsets` the same for rows that end without a member that should have run. What was fitted for
    neither is not accepted. `ties` lists, per stage but the last, the plateaus that a coin with `tie_seed`
    divides. `ranked_by` says what rows of different depths compare on: the raw score, as in the paper, or
    the calibrated confidence. `members` names each member that the policy was fitted on, with its sha256
    where known; `placements` how its windows came to lie.
    """

    kind: str
    num_stages: int
    score: str = "msp"
    windows: tuple[Window, ...] = ()
    thresholds: tuple[float, ...] = ()
    ties: tuple[tuple[Tie, ...], ...] = ()
    tie_seed: int = 0
    weights: tuple[tuple[float, ...], ...] = ()
    temperatures: tuple[float, ...] = ()
    calibrators: tuple[Calibrator | None, ...] = ()
    accept_above: tuple[float, ...] = ()
    accept_above_cut: tuple[float, ...] = ()
    subsets: tuple[Subset, ...] = ()
    ranked_by: RankedBy = "score"
    placements: tuple[Placement, ...] = ()
    members: Mapping[str, str | None] = field(default_factory=dict)
    objective: str | None = None
    budget: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise PolicyError(f"unknown kind of policy {self.kind!r}; there are: {', '.join(KINDS)}")
        score_named(self.score)
        if self.ranked_by not in get_args(RankedBy):
            raise PolicyError(f"ranked_by {self.ranked_by!r} is none of {', '.join(get_args(RankedBy))}")
        self._check_lengths()
        self._check_numbers()

    def _check_lengths(self) -> None:
        deciding = self.num_stages - 1
        _expect_length("windows", self.windows, deciding if self.kind == "window" else 0)
        _expect_length("thresholds", self.thresholds, deciding if self.kind == "threshold" else 0)
        for name in ("ties", "placements"):
            if getattr(self, name):
                _expect_length(name, getattr(self, name), deciding)
        for name in ("weights", "calibrators", "accept_above", "accept_above_cut"):
            if getattr(self, name):
                _expect_length(name, getattr(self, name), self.num_stages)

    def _check_numbers(self) -> None:
        for name in ("thresholds", "accept_above", "accept_above_cut"):
            if any(math.isnan(value) for value in getattr(self, name)):
                raise PolicyError(f"{name} holds a value that is no number")
        if self.tie_seed < 0:
            raise PolicyError(f"tie_seed must be 0 or more, got {self.tie_seed}")
        if not all(_is_sane(weight) for weights in self.weights for weight in weights):
            raise PolicyError(f"weights must be positive and neither tiny nor huge, got {self.weights}")
        if not all(_is_sane(temperature) for temperature in self.temperatures):
            raise PolicyError(
                f"temperatures must be positive and neither tiny nor huge, got {self.temperatures}"
            )

    def weights_at(self, stage: int, num_members: int) -> Sequence[float]:
        return self.weights[stage] if self.weights else (1.0,) * num_members

    def temperatures_of(self, num_members: int) -> Sequence[float]:
        return self.temperatures[:num_members] if self.temperatures else (1.0,) * num_members

    @property
    def known_cost(self) -> float | None:
        """In multiples of the first stage, on the rows that it was fitted or refitted on; None where nobody
        measured it."""
        refitted = self.evidence.get("refitted")
        return _number((refitted if isinstance(refitted, Mapping) else self.evidence).get("cost"))

    @property
    def known_forwarded(self) -> tuple[float, ...] | None:
        """Of all rows of its evidence, the shares that left each stage but the last for the next."""
        shares = _numbers(self.evidence.get("forwarded"))
        return shares if shares is not None and len(shares) == self.num_stages - 1 else None

    @property
    def known_scores(self) -> tuple[float, ...] | None:
        """Quantiles of the first stage's scores on the rows of its evidence, at equal steps from the lowest
        to the highest."""
        quantiles = _numbers(self.evidence.get("score_quantiles"))
        if quantiles is None or len(quantiles) < 2 or list(quantiles) != sorted(quantiles):
            return None
        return quantiles

    @property
    def unfitted(self) -> float:
        """The final threshold of what was never fitted: such rows pass only where every row does."""
        return ACCEPT_NONE if self.accept_above else ACCEPT_ALL

    def subset(self, answered: Sequence[str]) -> Subset:
        """What was fitted for rows that end with just these members."""
        named = set(answered)
        fitted = (subset for subset in self.subsets if set(subset.members) == named)
        return next(fitted, Subset(tuple(answered), self.unfitted))


def _number(value: object) -> float | None:
    """Evidence is anybody's to write."""
    if not isinstance(value, float | int) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def _numbers(values: object) -> tuple[float, ...] | None:
    if not isinstance(values, list | tuple):
        return None
    known = tuple(number for value in values if (number := _number(value)) is not None)
    return known if len(known) == len(values) else None


def _is_sane(factor: float) -> bool:
    """Beyond these, float64 scores turn into infinities."""
    return 1e-6 <= factor <= 1e6


def _expect_length(name: str, values: Sequence[object], expected: int) -> None:
    if len(values) != expected:
        raise PolicyError(f"{name} has {len(values)} entries where {expected} belong")
