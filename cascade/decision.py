"""What decides. One implementation, called by the replay over saved outputs and by the server's gate.

After each stage a row is forwarded or it exits; a row that exits is accepted or rejected. All
functions are pure, work on whole batches, and treat each row alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from cascade.calibrator import Calibrator
from cascade.combine import Outputs, combined_score, member_probabilities, weighted_mean
from cascade.policy import ACCEPT_ALL, Policy
from cascade.scores import Array, OutputKind
from cascade.stages import Stages
from cascade.window import Mask, coin, digest


class ExitReason(IntEnum):
    """Why a row left. The first four name the policy whose rule let it go before the last stage."""

    WINDOW = 0
    THRESHOLD = 1
    AGREEMENT = 2
    FIRST = 3
    LAST = 4
    MAX_STAGES = 5
    MEMBER_FAILED = 6
    DEADLINE = 7

    @property
    def wire_name(self) -> str:
        return self.name.lower()


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


def decide(policy: Policy, stage: int, outputs: Outputs, kinds: Sequence[OutputKind]) -> Verdict:
    """The prediction so far and whether it goes on.

    `outputs` are the `(rows, classes)` arrays of all members that ran, in the order of the stages;
    `stage` counts from 0. The last stage forwards nothing.
    """
    return judge(policy, stage, predictions(policy, outputs, kinds), outputs, kinds)


def predictions(policy: Policy, outputs: Outputs, kinds: Sequence[OutputKind]) -> list[Array]:
    """Each member's probabilities, `(rows, classes)`, at the policy's temperatures."""
    temperatures = policy.temperatures_of(len(outputs))
    return [
        member_probabilities(output, kind, temperature)
        for output, kind, temperature in zip(outputs, kinds, temperatures, strict=True)
    ]


def judge(
    policy: Policy, stage: int, members: Sequence[Array], outputs: Outputs, kinds: Sequence[OutputKind]
) -> Verdict:
    """As `decide`, from members' probabilities that are known already."""
    weights = policy.weights_at(stage, len(members))
    probabilities = weighted_mean(members, weights)
    temperatures = policy.temperatures_of(len(members))
    score = combined_score(policy.score, probabilities, outputs, kinds, weights, temperatures)
    if stage >= policy.num_stages - 1:
        forward = _forward_none(policy, stage, score, members)
    else:
        forward = RULES[policy.kind][0](policy, stage, score, members)
        _divide_ties(policy, stage, score, outputs[0], forward)
    return Verdict(probabilities, probabilities.argmax(axis=-1).astype(np.int64), score, forward)


def judge_subset(
    policy: Policy, stages: Stages, answered: Sequence[str], outputs: Outputs, kinds: Sequence[OutputKind]
) -> Verdict:
    """The prediction of only the members `answered`, named in the order of the stages; nothing goes on.

    Their weights are those of the deepest stage that answered, renormalised.
    """
    slots = [name for stage in stages for name in stage]
    depth = max(number for number, stage in enumerate(stages) if set(stage) & set(answered))
    known_weights = policy.weights_at(depth, sum(map(len, stages[: depth + 1])))
    known_temperatures = policy.temperatures_of(len(slots))
    weights = [known_weights[slots.index(name)] for name in answered]
    temperatures = [known_temperatures[slots.index(name)] for name in answered]
    members = [
        member_probabilities(output, kind, temperature)
        for output, kind, temperature in zip(outputs, kinds, temperatures, strict=True)
    ]
    probabilities = weighted_mean(members, weights)
    score = combined_score(policy.score, probabilities, outputs, kinds, weights, temperatures)
    nobody = np.zeros(score.shape, np.bool_)
    return Verdict(probabilities, probabilities.argmax(axis=-1).astype(np.int64), score, nobody)


def _divide_ties(
    policy: Policy, stage: int, score: Array, first: NDArray[np.floating], forward: Mask
) -> None:
    """Let the coin decide for the rows on a plateau; `first` are the outputs that it is drawn from."""
    for tie in policy.ties[stage] if policy.ties else ():
        rows = np.flatnonzero(score == tie.score)
        forward[rows] = coin(digest(first[rows]), policy.tie_seed, stage) < tie.share


def conclude(
    policy: Policy,
    stage: int,
    outputs: Outputs,
    kinds: Sequence[OutputKind],
    max_stages: int | None = None,
    cut_as: ExitReason = ExitReason.MAX_STAGES,
) -> Conclusion:
    """Decide, then settle the rows that exit: why they leave, how sure they are, whether accepted.

    A row exits when the rule lets it go, at the last stage, or cut short at `max_stages`, which the client
    asked for unless `cut_as` gives another reason.
    """
    verdict = decide(policy, stage, outputs, kinds)
    cut = verdict.forward if stage + 1 == max_stages else np.zeros(verdict.forward.shape, np.bool_)
    is_last = stage == policy.num_stages - 1
    natural = ExitReason.LAST if is_last else RULES[policy.kind][1]
    reason = np.where(cut, np.uint8(cut_as), np.uint8(natural)).astype(np.uint8)
    calibrator = policy.calibrators[stage] if policy.calibrators else None
    return Conclusion(
        verdict=verdict,
        forward=verdict.forward & ~cut,
        confidence=_confidence(calibrator, verdict),
        accepted=_accepted(policy, stage, verdict.score, cut),
        reason=reason,
    )


def conclude_subset(
    policy: Policy, stages: Stages, answered: Sequence[str], outputs: Outputs, kinds: Sequence[OutputKind]
) -> Conclusion:
    """Settle rows that end with only the members `answered`, because others that should have run failed.

    A set for which nothing was fitted is accepted only by a policy that accepts every row.
    """
    verdict = judge_subset(policy, stages, answered, outputs, kinds)
    subset = policy.subset(answered)
    return Conclusion(
        verdict=verdict,
        forward=verdict.forward,
        confidence=_confidence(subset.calibrator, verdict),
        accepted=verdict.score >= subset.accept_above,
        reason=np.full(verdict.score.shape, ExitReason.MEMBER_FAILED, np.uint8),
    )


def _confidence(calibrator: Calibrator | None, verdict: Verdict) -> Array:
    return calibrator(verdict.score) if calibrator else verdict.probabilities.max(axis=-1)


def _accepted(policy: Policy, stage: int, score: Array, cut: Mask) -> Mask:
    above = policy.accept_above[stage] if policy.accept_above else ACCEPT_ALL
    above_cut = policy.accept_above_cut[stage] if policy.accept_above_cut else policy.unfitted
    accepted: Mask = score >= np.where(cut, above_cut, above)
    return accepted
