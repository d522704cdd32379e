"""A scores file taken as a population: calibration sets are drawn from it, with replacement, and what is
fitted on them is judged on all of it, so that no noise of a test set blurs the verdict."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cascade.fitting.budget import stage_costs
from cascade.metrics import cost_macs, selective_risk
from cascade.objectives.parse import parse_objective
from cascade.policy import Policy
from cascade.replay import Replay, replay
from cascade.scores_file import ScoresFile, read_scores
from cascade.stages import Stages


@dataclass(frozen=True)
class Population:
    """Rows that stand for all rows there are, and the order in which their members run."""

    name: str
    scores: ScoresFile
    stages: Stages

    def draw(self, num_rows: int, seed: int) -> ScoresFile:
        """A calibration set of independent rows."""
        rows = np.random.default_rng(seed).integers(0, self.scores.num_rows, num_rows)
        return self.scores.rows(rows)

    def judged(self, policy: Policy, objective: str, max_stages: int | None = None) -> dict[str, float]:
        """What a policy does on the population: exact, but for the coins of ties."""
        played = replay(policy, self.stages, self.scores, max_stages, keep_probabilities=False)
        correct = played.label == self.scores.labels
        macs = stage_costs(self.scores.macs, self.scores, self.stages)
        return {
            "value": parse_objective(objective).value(rank_of(policy, played), correct),
            "cost": cost_macs(played.exit_stage, macs) / macs[0],
            "coverage": float(played.accepted.mean()),
            "risk": selective_risk(played.accepted, correct),
        }


def rank_of(policy: Policy, played: Replay) -> NDArray[np.float64]:
    return played.confidence if policy.ranked_by == "confidence" else played.score


def populations(path: Path, name: str, both_orders: bool) -> list[Population]:
    """The members of a file one to a stage, in its order and, if asked, in the other one."""
    scores = replace(read_scores(path), groups=None, is_checked=True)
    stages = tuple((member,) for member in scores.names)
    forward = Population(f"{name}: {' > '.join(scores.names)}", scores, stages)
    backward = Population(f"{name}: {' > '.join(scores.names[::-1])}", scores, stages[::-1])
    return [forward, backward] if both_orders else [forward]
