"""Fitting a policy to an objective under a budget.

The rows are divided by group. What decides (windows, temperatures, weights, calibrators) is chosen on one
part; the final thresholds are set, or certified, on the other, whose rows chose nothing before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from cascade.errors import FitError, PolicyError
from cascade.fitting.acceptance import Judges, with_acceptance, with_subsets
from cascade.fitting.budget import Budget, parse_budget
from cascade.fitting.certificate import Certificate
from cascade.fitting.choice import MAX_ROWS, PAPER, Choice, Option, choose, options_for
from cascade.fitting.evidence import evidence_of
from cascade.fitting.placement import BUDGETED, MIN_ROWS, strict_threshold
from cascade.fitting.shape import SHAPES, Laid, Task, laid_by
from cascade.fitting.structure import structured
from cascade.fitting.table import ALL_ROWS, DISAGREEING, NO_ROWS, Index, Table, tabulate
from cascade.objectives.objective import Objective
from cascade.objectives.parse import parse_objective
from cascade.policy import KINDS, Policy
from cascade.scores import check_score, score_named
from cascade.scores_file import DEFAULT_FAMILY, ScoresFile
from cascade.stages import Stages

MIN_OOD = 20
METHODS = ("auto", "paper")


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """What is asked for. `budget` binds `window` and `threshold`; the other kinds cost what they cost.

    `method` is how windows are laid: `paper` for the paper's rule exactly, `auto` for what
    cross-validation prefers. `certify` is the delta of a certified risk, None for an estimate.
    `choosing_share` of the rows choose the rule, the others set the final thresholds; None is a half, or, to
    certify, a fifth: proof takes more rows than choice does.
    """

    kind: str = "window"
    objective: str = "coverage@risk=0.05"
    budget: str = "1.3x"
    score: str = "msp"
    method: str = "auto"
    certify: float | None = None
    choosing_share: float | None = None
    seed: int = 0

    @property
    def share(self) -> float:
        if self.choosing_share is None:
            return 0.5 if self.certify is None else 0.2
        return self.choosing_share

    @property
    def parsed_objective(self) -> Objective:
        return parse_objective(self.objective)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise PolicyError(f"unknown kind of policy {self.kind!r}; there are: {', '.join(KINDS)}")
        score_named(self.score)
        objective = self.parsed_objective
        parse_budget(self.budget)
        if self.method not in METHODS:
            raise FitError(f"unknown method {self.method!r}; there are: {', '.join(METHODS)}")
        if self.seed < 0:
            raise FitError(f"seed must be 0 or more, got {self.seed}")
        if not 0 < self.share < 1:
            raise FitError(f"choosing_share must lie between 0 and 1, got {self.share:g}")
        if self.certify is not None:
            if not objective.can_certify:
                raise FitError(f"only coverage@risk=R can be certified, and the objective is {objective}")
            Certificate(self.certify, objective.target)


def fit(scores: ScoresFile, stages: Stages, settings: FitSettings) -> Policy:
    """Fit a policy of one kind. FitError where the rows are too few or the budget cannot be kept."""
    bench = Bench(scores, stages, settings)
    choice = bench.choice()
    policy, laid, table = bench.fitted(choice.option)
    judges = bench.judges()
    policy = with_acceptance(policy, laid, table, judges)
    policy = with_subsets(policy, laid, table, judges, stages, scores)
    evidence = evidence_of(policy, laid, table.rows(judges.accepting), bench.objective)
    return replace(policy, evidence=bench.about() | evidence | choice.report())


class Bench:
    """The rows of a fit, divided, and their tables under each structure."""

    def __init__(self, scores: ScoresFile, stages: Stages, settings: FitSettings) -> None:
        if scores.num_rows < MIN_ROWS:
            raise FitError(f"{scores.num_rows} rows are too few to fit on; at least {MIN_ROWS} are needed")
        self.scores, self.stages, self.settings = scores, stages, settings
        self.objective = settings.parsed_objective
        if self.objective.uses_ood and scores.num_ood < MIN_OOD:
            raise FitError(
                f"objective {self.objective} needs {MIN_OOD} out-of-distribution rows or more, "
                f"and there are {scores.num_ood or 'none'}"
            )
        self.score = self.objective.score(settings.score)
        check_score(self.score, scores.kind, scores.outputs.shape[2])
        self.budget: Budget = parse_budget(settings.budget)
        self.costs = self.budget.stage_costs(scores, stages)
        self.limit = self.budget.limit(self.costs)
        self.choosing, self.accepting = divided(scores, self.objective, settings)

    @property
    def plain(self) -> Policy:
        """Accepts every row, with equal weights: what structures and windows are added to."""
        sha256 = dict(zip(self.scores.names, self.scores.sha256, strict=True)) if self.scores.sha256 else {}
        return Policy(
            kind="full",
            num_stages=len(self.stages),
            score=self.score,
            members={name: sha256.get(name) for stage in self.stages for name in stage},
            objective=str(self.objective),
        )

    @cached_property
    def plain_table(self) -> Table:
        return self.table(self.plain)

    def structured(self, name: str, rows: Index) -> Policy:
        """The policy of a structure fitted on those of `rows` that are in distribution."""
        return structured(self.plain, name, self.stages, self.scores, rows[rows < self.scores.num_rows])

    def table(self, policy: Policy) -> Table:
        return tabulate(policy, self.stages, self.scores, self.objective, self.costs)

    def task(self, option: Option) -> Task:
        return Task(self.objective, self.limit, option.ranked_by, self.settings.seed)

    def choice(self) -> Choice:
        """What cross-validation on the choosing rows prefers, where there is anything to choose."""
        if self.settings.kind != "window" or len(self.stages) == 1:
            return Choice(Option("plain", "score", "threshold"))
        if self.settings.method == "paper":
            return Choice(PAPER)
        return self.compared(options_for(self.objective))

    def compared(self, options: Sequence[Option]) -> Choice:
        """The best of some options, with the value that it reached on held-out rows."""
        task = self.task(PAPER)
        return choose(options, self._sample(), self.stages, self.plain, self.objective, self.costs, task)

    def _sample(self) -> ScoresFile:
        """The choosing rows, or as many of them as choices need."""
        inside = self.choosing[self.choosing < self.scores.num_rows]
        outside = self.choosing[len(inside) :] - self.scores.num_rows
        few = slice(None, None, 1 + len(inside) // MAX_ROWS)
        return self.scores.rows(inside[few]).ood_rows(outside)

    def fitted(self, option: Option) -> tuple[Policy, Laid, Table]:
        """The policy under an option, fitted on all choosing rows, with its table of all rows."""
        policy = self.structured(option.structure, self.choosing)
        table = self.plain_table if option.structure == "plain" else self.table(policy)
        laid = self._laid(table.rows(self.choosing), option)
        return self._with_rule(policy, laid), laid, table

    def _laid(self, table: Table, option: Option) -> Laid:
        fixed = {"first": NO_ROWS, "full": ALL_ROWS, "agreement": DISAGREEING}
        if self.settings.kind in fixed:
            return laid_by([fixed[self.settings.kind]] * (table.num_stages - 1), table, self.task(option))
        return SHAPES[option.shape](table, self.task(option))

    def _with_rule(self, policy: Policy, laid: Laid) -> Policy:
        """`policy` with what decides, out of the windows laid."""
        kind, windows = self.settings.kind, tuple(cut.window for cut in laid.cuts)
        parts: dict[str, Any] = {"calibrators": laid.calibrators, "ranked_by": laid.ranked_by}
        if kind in BUDGETED:
            parts |= {"placements": laid.placements, "budget": str(self.budget)}
            parts |= {"ties": tuple(cut.ties for cut in laid.cuts), "tie_seed": self.settings.seed}
        if kind == "window":
            parts["windows"] = windows
        if kind == "threshold":
            parts["thresholds"] = tuple(strict_threshold(window) for window in windows)
        return replace(policy, kind=kind, **parts)

    def judges(self) -> Judges:
        return Judges(
            self.objective, self.choosing, self._judging_rows(), self.settings.seed, self.certificate()
        )

    def certificate(self) -> Certificate | None:
        if self.settings.certify is None:
            return None
        certificate = Certificate(self.settings.certify, self.objective.target)
        certificate.check_rows(len(self._judging_rows()))
        return certificate

    def _judging_rows(self) -> Index:
        """The accepting rows; to certify, one of a group at most, since copies of a row are no new evidence.

        A group is kept with a chance that grows with its size, so that kept rows are spread as rows are.
        """
        if self.settings.certify is None or self.scores.groups is None:
            return self.accepting
        rng = np.random.default_rng(self.settings.seed)
        order = rng.permutation(self.accepting)
        _, first, sizes = np.unique(self.scores.groups[order], return_index=True, return_counts=True)
        return np.sort(order[first[rng.random(len(first)) * sizes.max() < sizes]])

    def about(self) -> dict[str, Any]:
        """What the evidence says of the fit itself."""
        families = sorted(set(self.scores.ood_families)) if self.objective.uses_ood else []
        if families == [DEFAULT_FAMILY]:
            families = []  # it was not named, so it cannot be told from another
        about: dict[str, Any] = {
            "rows": len(self._judging_rows()),
            "choosing_rows": len(self.choosing),
            "seed": self.settings.seed,
            "certified": self.settings.certify is not None,
        }
        if self.settings.certify is not None:
            about["delta"] = self.settings.certify
        return about | ({"ood_families": families} if families else {})


def divided(scores: ScoresFile, objective: Objective, settings: FitSettings) -> tuple[Index, Index]:
    """Rows that choose and rows that set thresholds, by a seeded draw; a group is never divided.

    Out-of-distribution rows follow the others, where the objective asks for them.
    """
    rng = np.random.default_rng(settings.seed)
    groups = np.arange(scores.num_rows) if scores.groups is None else scores.groups
    chooses = _drawn(groups, settings.share, rng)
    if min(chooses.sum(), (~chooses).sum()) < MIN_ROWS // 2:
        text = f"the rows' {len(np.unique(groups))} groups cannot be divided into two parts of rows: "
        parts = f"{chooses.sum()} would choose and {(~chooses).sum()} set the thresholds"
        raise FitError(f"{text}{parts}, and each takes {MIN_ROWS // 2}")
    if objective.uses_ood:
        chooses = np.r_[chooses, _drawn(np.arange(scores.num_ood), settings.share, rng)]
    return np.flatnonzero(chooses), np.flatnonzero(~chooses)


def _drawn(groups: Index, share: float, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.bool_]]:
    names = np.unique(groups)
    return np.isin(groups, rng.permutation(names)[: round(len(names) * share)])
