"""What decides. One implementation, called by the replay over saved outputs and by the server's gate.

After each stage a row is forwarded or it exits; a row that exits is accepted or rejected. All
functions are pure, work on whole batches, and treat each row alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.calibration import Calibrator
from cascade.combine import Outputs, combined_score, member_probabilities, weighted_mean
from cascade.errors import PolicyError
from cascade.scores import Array, OutputKind, score_named

Mask = NDArray[np.bool_]

ACCEPT_ALL = -math.inf
ACCEPT_NONE = math.inf
FORWARD_ALL = math.inf


class ExitReason(IntEnum):
    """Why a row left. The first four name the policy whose rule let it go before the last stage."""

    WINDOW = 0
    THRESHOLD = 1
    AGREEMENT = 2
    FIRST = 3
    LAST = 4
    MAX_STAGES = 5

    @property
    def wire_name(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Window:
    """Scores within `[lo, hi]`, both ends included, are forwarded. Infinite ends are open."""

    lo: float
    hi: float

    def __post_init__(self) -> None:
        if math.isnan(self.lo) or math.isnan(self.hi):
            raise PolicyError(f"window [{self.lo}, {self.hi}] has an end that is no number")

    def contains(self, score: Array) -> Mask:
        return (score >= self.lo) & (score <= self.hi)


NOTHING = Window(math.inf, -math.inf)
"""The empty window: nothing is forwarded."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Everything that decides, but for the stages, which belong to the cascade.

    `windows` and `thresholds` have one entry per stage but the last, `weights` one tuple per stage
    over the members so far, `accept_above` one entry per stage: the final threshold on the score of
    a row that the rule itself let go there. `accept_above_cut` is the same for a row that was cut
    short there (it would have been forwarded), fitted on such rows alone, since they are the harder
    ones. `members` names each member that the policy was fitted on, with its sha256 where known.
    """

    kind: str
    num_stages: int
    score: str = "msp"
    windows: tuple[Window, ...] = ()
    thresholds: tuple[float, ...] = ()
    weights: tuple[tuple[float, ...], ...] = ()
    temperatures: tuple[float, ...] = ()
    calibrators: tuple[Calibrator | None, ...] = ()
    accept_above: tuple[float, ...] = ()
    accept_above_cut: tuple[float, ...] = ()
    members: Mapping[str, str | None] = field(default_factory=dict)
    objective: str | None = None
    budget: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rule_named(self.kind)
        score_named(self.score)
        deciding = self.num_stages - 1
        _expect_length("windows", self.windows, deciding if self.kind == "window" else 0)
        _expect_length("thresholds", self.thresholds, deciding if self.kind == "threshold" else 0)
        for name in ("weights", "calibrators", "accept_above", "accept_above_cut"):
            if getattr(self, name):
                _expect_length(name, getattr(self, name), self.num_stages)
        for name in ("thresholds", "accept_above", "accept_above_cut"):
            if any(math.isnan(value) for value in getattr(self, name)):
                raise PolicyError(f"{name} holds a value that is no number")
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


def _is_sane(factor: float) -> bool:
    """Beyond these, float64 scores turn into infinities."""
    return 1e-6 <= factor <= 1e6


def _expect_length(name: str, values: Sequence[object], expected: int) -> None:
    if len(values) != expected:
        raise PolicyError(f"{name} has {len(values)} entries where {expected} belong")


@dataclass(frozen=True)
class Verdict:
    """What a stage says of a batch: `(rows, classes)` probabilities, and per row the rest."""

    probabilities: Array
    label: NDArray[np.int64]
    score: Array
    forward: Mask


@dataclass(frozen=True)
class Conclusion:
    """What happens to the rows of a batch after a stage; `confidence`, `accepted` and `reason` hold
    for the rows that exit, and mean nothing for the forwarded ones."""

    verdict: Verdict
    forward: Mask
    confidence: Array
    accepted: Mask
    reason: NDArray[np.uint8]


Rule = Callable[[Policy, int, Array, Sequence[Array]], Mask]


def _forward_window(policy: Policy, stage: int, score: Array, members: Sequence[Array]) -> Mask:
    return policy.windows[stage].contains(score)


def _forward_threshold(policy: Policy, stage: int, score: Array, members: Sequence[Array]) -> Mask:
    return score < policy.thresholds[stage]


def _forward_disagreement(policy: Policy, stage: int, score: Array, members: Sequence[Array]) -> Mask:
    """A single member has nobody to agree with, so all its rows go on."""
    if len(members) < 2:
        return np.ones(score.shape, np.bool_)
    labels = np.stack([member.argmax(axis=-1) for member in members])
    return np.asarray((labels != labels[0]).any(axis=0))


def _forward_none(policy: Policy, stage: int, score: Array, members: Sequence[Array]) -> Mask:
    return np.zeros(score.shape, np.bool_)


def _forward_all(policy: Policy, stage: int, score: Array, members: Sequence[Array]) -> Mask:
    return np.ones(score.shape, np.bool_)


RULES: dict[str, tuple[Rule, ExitReason]] = {
    "window": (_forward_window, ExitReason.WINDOW),
    "threshold": (_forward_threshold, ExitReason.THRESHOLD),
    "agreement": (_forward_disagreement, ExitReason.AGREEMENT),
    "first": (_forward_none, ExitReason.FIRST),
    "full": (_forward_all, ExitReason.LAST),
}


def rule_named(kind: str) -> tuple[Rule, ExitReason]:
    if kind not in RULES:
        raise PolicyError(f"unknown kind of policy {kind!r}; there are: {', '.join(RULES)}")
    return RULES[kind]


def decide(policy: Policy, stage: int, outputs: Outputs, kinds: Sequence[OutputKind]) -> Verdict:
    """The prediction so far and whether it goes on.

    `outputs` are the `(rows, classes)` arrays of all members that ran, in the order of the stages;
    `stage` counts from 0. The last stage forwards nothing.
    """
    weights = policy.weights_at(stage, len(outputs))
    temperatures = policy.temperatures_of(len(outputs))
    members = [
        member_probabilities(output, kind, temperature)
        for output, kind, temperature in zip(outputs, kinds, temperatures, strict=True)
    ]
    probabilities = weighted_mean(members, weights)
    score = combined_score(policy.score, probabilities, outputs, kinds, weights, temperatures)
    if stage >= policy.num_stages - 1:
        forward = _forward_none(policy, stage, score, members)
    else:
        forward = rule_named(policy.kind)[0](policy, stage, score, members)
    return Verdict(probabilities, probabilities.argmax(axis=-1).astype(np.int64), score, forward)


def conclude(
    policy: Policy,
    stage: int,
    outputs: Outputs,
    kinds: Sequence[OutputKind],
    max_stages: int | None = None,
) -> Conclusion:
    """Decide, then settle the rows that exit: why they leave, how sure they are, whether accepted.

    A row exits when the rule lets it go, at the last stage, or cut short at the client's `max_stages`.
    """
    verdict = decide(policy, stage, outputs, kinds)
    cut = verdict.forward if stage + 1 == max_stages else np.zeros(verdict.forward.shape, np.bool_)
    is_last = stage == policy.num_stages - 1
    natural = ExitReason.LAST if is_last else rule_named(policy.kind)[1]
    reason = np.where(cut, np.uint8(ExitReason.MAX_STAGES), np.uint8(natural)).astype(np.uint8)
    return Conclusion(
        verdict=verdict,
        forward=verdict.forward & ~cut,
        confidence=_confidence(policy, stage, verdict),
        accepted=_accepted(policy, stage, verdict.score, cut),
        reason=reason,
    )


def _confidence(policy: Policy, stage: int, verdict: Verdict) -> Array:
    calibrator = policy.calibrators[stage] if policy.calibrators else None
    return calibrator(verdict.score) if calibrator else verdict.probabilities.max(axis=-1)


def _accepted(policy: Policy, stage: int, score: Array, cut: Mask) -> Mask:
    above = policy.accept_above[stage] if policy.accept_above else ACCEPT_ALL
    unfitted = ACCEPT_NONE if policy.accept_above else ACCEPT_ALL
    above_cut = policy.accept_above_cut[stage] if policy.accept_above_cut else unfitted
    accepted: Mask = score >= np.where(cut, above_cut, above)
    return accepted
