"""The policies that every exported cascade has, fitted on the outputs of the published files."""

from cascade.fitting.fit import fit
from cascade.policy import Policy
from cascade.scores_file import ScoresFile
from cascade.stages import Stages
from export.settings import ExportSettings

KINDS = ("first", "threshold", "window", "agreement", "full")


def kinds_for(stages: Stages) -> tuple[str, ...]:
    """A cascade of one stage has nobody to agree with."""
    return tuple(kind for kind in KINDS if kind != "agreement" or len(stages) > 1)


def fit_policies(scores: ScoresFile, stages: Stages, settings: ExportSettings) -> dict[str, Policy]:
    """One policy of each kind, named for it."""
    return {kind: fit(scores, stages, settings.fit_settings(kind)) for kind in kinds_for(stages)}
