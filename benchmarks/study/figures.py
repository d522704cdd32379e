"""The figures of the study: what each is called, which way is better, and which policy's cost goes with
it."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.study.strange import FAR, NEAR

COVERAGE_AT_RISK = "coverage@5%risk"
WINDOW_COVERAGE = "window coverage@5%risk"
RISK_AT_COVERAGE = "risk@80%coverage"
ACCURACY = "accuracy"
AURC = "aurc"
AURC_NEAR, AURC_FAR = "aurc near mixed", "aurc far mixed"
AUROC_NEAR, AUROC_FAR = f"auroc {NEAR}", "auroc far"
FPR_NEAR = f"fpr@95tpr {NEAR}"

ACCEPTING, RISKING, DETECTING = "accepting", "risking", "detecting"
NEAR_MIXED, FAR_MIXED = "near mixed", "far mixed"
COSTS = (ACCEPTING, RISKING, DETECTING, NEAR_MIXED, FAR_MIXED)
"""What rows cost: test rows under the policies of the three tasks, and traffic with OOD rows mixed in."""


@dataclass(frozen=True)
class Figure:
    """direction: 1 where higher is better, -1 where lower is, 0 where neither is. cost: one of `COSTS`."""

    title: str
    direction: int
    is_share: bool = True
    cost: str = ACCEPTING


FIGURES: Mapping[str, Figure] = {
    COVERAGE_AT_RISK: Figure("coverage @5% risk", 1),
    RISK_AT_COVERAGE: Figure("risk @80% coverage", -1, cost=RISKING),
    ACCURACY: Figure("accuracy", 1),
    AURC: Figure("AURC", -1, is_share=False),
    AURC_NEAR: Figure("AURC, near mixed in", -1, is_share=False, cost=NEAR_MIXED),
    AURC_FAR: Figure("AURC, far mixed in", -1, is_share=False, cost=FAR_MIXED),
    **{f"auroc {family}": Figure(f"AUROC {family}", 1, cost=DETECTING) for family in FAR},
    **{f"fpr@95tpr {family}": Figure(f"FPR {family}", -1, cost=DETECTING) for family in FAR},
    AUROC_NEAR: Figure("AUROC near", 1, cost=DETECTING),
    FPR_NEAR: Figure("FPR near", -1, cost=DETECTING),
    AUROC_FAR: Figure("AUROC far", 1, cost=DETECTING),
    "member accuracy": Figure("member accuracy", 1),
    "member NLL": Figure("member NLL", -1, is_share=False),
    "NLL": Figure("NLL", -1, is_share=False),
    WINDOW_COVERAGE: Figure("its window's coverage", 1),
    "disagreement": Figure("disagreement", 0),
    "coverage": Figure("coverage", 1),
    "coverage@risk=0.05": Figure("coverage at 5% risk", 1),
    "risk@coverage=0.8": Figure("risk at 80% coverage", -1),
    "gain": Figure("gain", 1),
}
