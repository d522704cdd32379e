"""Members' outputs to report on: small, in groups, with OOD rows of two families."""

from dataclasses import replace

from cascade.scores_file import ScoresFile
from tests.cascade.made_up import outputs


def rows(num: int = 600, seed: int = 0, num_ood: int = 120) -> ScoresFile:
    scores = outputs(num, seed, groups=True, noise=(2.0, 1.5, 1.0), num_ood=num_ood)
    if not num_ood:
        return scores
    half = num_ood // 2
    return replace(scores, ood_families=("noise",) * half + ("more-noise",) * (num_ood - half))
