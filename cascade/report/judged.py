"""A policy run over the rows to judge on, row by row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.errors import FitError
from cascade.fitting.budget import stage_costs
from cascade.objectives.class_decision import ClassDecision
from cascade.objectives.objective import OUT_OF_DISTRIBUTION, Labels, Objective
from cascade.policy import Policy
from cascade.replay import Replay, replay
from cascade.report.policies import Named
from cascade.scores import Array
from cascade.scores_file import ScoresFile
from cascade.stages import Stages
from cascade.window import Mask


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Columns `(rows,)`: rows in distribution, then OOD ones where the objective asks for them.

    `rank` is what rows of different depths compare on, `cost` in multiples of stage 1, `depth` counts from 0.
    `inside` and `outside` are the runs over the rows in distribution, and over the OOD rows if any.
    """

    named: Named
    inside: Replay
    outside: Replay | None
    is_inside: Mask
    correct: Mask
    accepted: Mask
    confidence: Array
    rank: Array
    depth: NDArray[np.intp]
    outcome: Array
    event: Mask
    weight: Array
    traffic: Array
    cost: Array

    @property
    def name(self) -> str:
        return self.named.name

    @property
    def policy(self) -> Policy:
        return self.named.policy

    @property
    def num_stages(self) -> int:
        return self.named.policy.num_stages

    def exits(self) -> tuple[float, ...]:
        """Share of the traffic that leaves at each stage."""
        stages = range(self.num_stages)
        return tuple(float(np.average(self.depth == stage, weights=self.traffic)) for stage in stages)


@dataclass(frozen=True)
class Yardstick:
    """What policies are judged on."""

    scores: ScoresFile
    stages: Stages
    objective: Objective
    full_score: Array
    full_label: Labels

    @property
    def truth(self) -> Labels:
        outside = self.scores.num_ood if self.objective.uses_ood else 0
        return np.concatenate([self.scores.labels, np.full(outside, OUT_OF_DISTRIBUTION)])

    def judge(self, named: Named) -> Judged:
        check_question(named, self.objective)
        inside, outside = _runs(named.policy, self.stages, self.scores)
        runs = [inside, outside] if self.objective.uses_ood and outside is not None else [inside]
        score, label, confidence, accepted, exits = (
            np.concatenate([getattr(run, name) for run in runs])
            for name in ("score", "label", "confidence", "accepted", "exit_stage")
        )
        truth = self.truth
        macs = stage_costs(self.scores.macs, self.scores, self.stages)
        return Judged(
            named=named,
            inside=inside,
            outside=outside,
            is_inside=truth != OUT_OF_DISTRIBUTION,
            correct=label == truth,
            accepted=accepted,
            confidence=confidence,
            rank=score if named.policy.ranked_by == "score" else confidence,
            depth=exits.astype(np.intp) - 1,
            outcome=self.outcomes(score, label),
            event=self.objective.events(label, truth),
            weight=self.objective.weights(truth),
            traffic=self.objective.traffic(truth),
            cost=(np.cumsum(macs) / macs[0])[exits - 1],
        )

    def outcomes(self, score: Array, label: Labels) -> Array:
        """How good it is to leave so, `(rows,)`; a decision is compared with that of all members."""
        rows = len(score)
        scores, labels = np.stack([score, self.full_score[:rows]]), np.stack([label, self.full_label[:rows]])
        return np.asarray(self.objective.outcomes(scores, labels, self.truth[:rows])[0], np.float64)


def yardstick_of(scores: ScoresFile, stages: Stages, objective: Objective, score: str) -> Yardstick:
    full = Policy(kind="full", num_stages=len(stages), score=objective.score(score))
    inside, outside = _runs(full, stages, scores)
    runs = [inside, outside] if objective.uses_ood and outside is not None else [inside]
    return Yardstick(
        scores,
        stages,
        objective,
        np.concatenate([run.score for run in runs]),
        np.concatenate([run.label for run in runs]),
    )


def check_question(named: Named, objective: Objective) -> None:
    """A decision is read off the score, so a policy of another score answers another question."""
    if isinstance(objective, ClassDecision) and named.policy.score != objective.score(""):
        raise FitError(
            f"policy {named.name!r} acts on {named.policy.score}, and {objective} needs {objective.score('')}"
        )


def _runs(policy: Policy, stages: Stages, scores: ScoresFile) -> tuple[Replay, Replay | None]:
    inside = replay(policy, stages, scores, keep_probabilities=False)
    if not scores.num_ood:
        return inside, None
    return inside, replay(policy, stages, scores.ood_as_rows(), keep_probabilities=False)
