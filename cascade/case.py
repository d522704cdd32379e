"""The rows that a policy is judged on, played, with how much each of them counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cascade.intervals import share_interval
from cascade.objectives.class_decision import ClassDecision
from cascade.objectives.objective import OUT_OF_DISTRIBUTION, Labels, Objective
from cascade.policy import Policy
from cascade.priors import prior_weights
from cascade.replay import Replay, replay
from cascade.scores import Array
from cascade.scores_file import ScoresFile
from cascade.stages import Stages
from cascade.window import Mask


@dataclass(frozen=True)
class Case:
    """A policy and the rows it is judged on, played. Arrays of `all` rows hold those in distribution, then,
    where the objective asks for them, those out of it."""

    policy: Policy
    stages: Stages
    scores: ScoresFile
    objective: Objective
    max_stages: int | None
    failed: tuple[str, ...]
    priors: Sequence[float] | None

    def play(self, scores: ScoresFile) -> Replay:
        return replay(
            self.policy, self.stages, scores, self.max_stages, failed=self.failed, keep_probabilities=False
        )

    @cached_property
    def inside(self) -> Replay:
        return self.play(self.scores)

    @cached_property
    def outside(self) -> Replay | None:
        return self.play(self.scores.ood_as_rows()) if self.scores.num_ood else None

    @property
    def lacks_ood(self) -> bool:
        """Whether the objective needs OOD rows, and there are none: then it has no value."""
        return self.objective.uses_ood and not self.scores.num_ood

    @property
    def is_decision(self) -> bool:
        return isinstance(self.objective, ClassDecision)

    @cached_property
    def correct(self) -> Mask:
        return np.asarray(self.inside.label == self.scores.labels)

    @cached_property
    def prior(self) -> Array:
        """How much each row in distribution counts."""
        if self.priors is None:
            return np.ones(self.scores.num_rows)
        return prior_weights(self.scores.labels, self.priors)

    @cached_property
    def all(self) -> list[Replay]:
        counts = self.objective.uses_ood and self.outside is not None
        return [self.inside, *([self.outside] if counts and self.outside else [])]

    @cached_property
    def num_ood(self) -> int:
        """The OOD rows that the objective counts."""
        return sum(len(played.score) for played in self.all[1:])

    @cached_property
    def all_truth(self) -> Labels:
        return np.concatenate([self.scores.labels, np.full(self.num_ood, OUT_OF_DISTRIBUTION)])

    @cached_property
    def _all_prior(self) -> Array:
        return np.concatenate([self.prior, np.ones(self.num_ood)])

    @cached_property
    def all_weight(self) -> Array:
        return self._all_prior if self.lacks_ood else self._all_prior * self.objective.weights(self.all_truth)

    @cached_property
    def all_traffic(self) -> Array:
        return self._all_prior if self.lacks_ood else self._all_prior * self.objective.traffic(self.all_truth)

    @cached_property
    def all_rank(self) -> Array:
        return np.concatenate([self.rank(played) for played in self.all])

    @cached_property
    def all_accepted(self) -> Mask:
        return np.concatenate([played.accepted for played in self.all])

    @cached_property
    def all_event(self) -> Mask:
        label = np.concatenate([played.label for played in self.all])
        return self.objective.events(label, self.all_truth)

    @cached_property
    def all_outcome(self) -> Array:
        """How good the exit of each row is. A decision is compared with the full cascade's, played last."""
        depths = [self.all]
        if isinstance(self.objective, ClassDecision):
            full = replace(self.policy, kind="full", windows=(), thresholds=(), ties=(), placements=())
            depths.append([replay(full, self.stages, self.scores, keep_probabilities=False)])
        score = np.stack([np.concatenate([played.score for played in parts]) for parts in depths])
        label = np.stack([np.concatenate([played.label for played in parts]) for parts in depths])
        return np.asarray(self.objective.outcomes(score, label, self.all_truth)[0])

    def rank(self, played: Replay) -> Array:
        """What rows of different depths compare on."""
        return played.score if self.policy.ranked_by == "score" else played.confidence

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        return np.arange(self.scores.num_rows) if self.scores.groups is None else self.scores.groups

    @cached_property
    def all_groups(self) -> NDArray[np.int64]:
        """OOD rows stand alone."""
        return np.concatenate([self.groups, self.groups.max(initial=-1) + 1 + np.arange(self.num_ood)])

    def share(self, hits: Mask, rows: Mask | None = None) -> list[float] | None:
        """The interval of a share of rows in distribution, or of some of them."""
        index = np.flatnonzero(np.ones(len(hits), np.bool_) if rows is None else rows)
        groups = None if self.scores.groups is None else self.scores.groups[index]
        weight = None if self.priors is None else self.prior[index]
        return interval_or_none(share_interval(hits[index], groups, weight=weight))


def interval_or_none(ends: tuple[float, float]) -> list[float] | None:
    """An interval as JSON has it: null where there is none."""
    return None if math.isnan(ends[0]) or math.isnan(ends[1]) else list(ends)
