"""How often a certified risk is exceeded on the population, and what coverage the certificate costs.

Ways to certify: `split`, where a share of the rows chooses and the rest certify one policy, and `family`,
where a tenth lays a few windows without labels and the rest certify them all, each at a part of delta.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.policies.population import Population
from benchmarks.policies.tally import mean_interval, share_upper
from cascade.fitting.acceptance import with_acceptance
from cascade.fitting.certificate import Certificate
from cascade.fitting.choice import Option
from cascade.fitting.fit import Bench, FitSettings, fit
from cascade.fitting.placement import one_width, place
from cascade.fitting.shape import laid_by
from cascade.policy import Placement, Policy
from cascade.scores_file import ScoresFile
from cascade.stages import Stages

DELTA = 0.1
BUDGET = "1.2x"
OBJECTIVE = "coverage@risk=0.05"
SIZES = (1000, 2500, 5000)
SPLITS: dict[str, dict[str, Any]] = {
    "first": {"kind": "first", "choosing_share": 0.2},
    "paper": {"method": "paper", "choosing_share": 0.2},
    "split 0.2": {"choosing_share": 0.2},
    "split 0.5": {"choosing_share": 0.5},
}
WAYS = (*SPLITS, "family", "not certified")
DEFAULT = "split 0.2"
"""What `fit --certify` does unless told otherwise: drawn most often, to see whether it holds."""
FAMILY = (0.3, 0.36, 0.42, 0.48)
"""Ranks in whose middle the windows of the family lie."""


def draw(
    population: Population, num_rows: int, seed: int, ways: Sequence[str] = WAYS
) -> list[dict[str, Any]]:
    drawn = population.draw(num_rows, seed)
    records = []
    for way in ways:
        policy = _fitted(way, drawn, population.stages, seed)
        whole = population.judged(policy, OBJECTIVE)
        cut = population.judged(policy, OBJECTIVE, max_stages=1)
        record = {"way": way, "coverage": whole["coverage"], "risk": whole["risk"], "cost": whole["cost"]}
        records.append(record | {"cut_coverage": cut["coverage"], "cut_risk": cut["risk"]})
    return records


def _fitted(way: str, drawn: ScoresFile, stages: Stages, seed: int) -> Policy:
    asked: dict[str, Any] = {"objective": OBJECTIVE, "budget": BUDGET, "seed": seed}
    if way == "not certified":
        return fit(drawn, stages, FitSettings(**asked))
    if way == "family":
        return _family(drawn, stages, FitSettings(**asked, certify=DELTA, choosing_share=0.1))
    return fit(drawn, stages, FitSettings(**asked, certify=DELTA, **SPLITS[way]))


def _family(drawn: ScoresFile, stages: Stages, settings: FitSettings) -> Policy:
    """The policy of the family with the laxest threshold, each certified at its part of delta."""
    bench = Bench(drawn, stages, settings)
    judges = replace(bench.judges(), certificate=Certificate(DELTA, 0.05, family=len(FAMILY)))
    option = Option("plain", "score", "threshold")
    policy, _, table = bench.fitted(option)
    rows = table.rows(bench.choosing)
    shares = one_width(bench.costs, bench.limit)
    best, least = policy, math.inf
    for middle in FAMILY:
        anchor = float(sorted(rows.score[0])[int(middle * rows.num_rows)])
        placements = [Placement(share, anchor, 0.5) for share in shares]
        laid = laid_by(place(rows, placements, settings.seed), rows, bench.task(option))
        windows = tuple(cut.window for cut in laid.cuts)
        member = with_acceptance(
            replace(policy, windows=windows, calibrators=laid.calibrators), laid, table, judges
        )
        if not best.accept_above or member.accept_above[0] < least:
            best, least = member, member.accept_above[0]
    return best


def summary(population: Population, num_rows: int, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    cells = []
    for way in dict.fromkeys(record["way"] for record in records):
        here = [record for record in records if record["way"] == way]
        exceeded = sum(record["risk"] > 0.05 for record in here)
        cut_exceeded = sum(record["cut_risk"] > 0.05 for record in here)
        cells.append(
            {
                "population": population.name,
                "rows": num_rows,
                "way": way,
                "draws": len(here),
                "coverage": mean_interval([100 * record["coverage"] for record in here]),
                "risk": mean_interval([100 * record["risk"] for record in here]),
                "exceeded": round(exceeded / len(here), 4),
                "exceeded_upper": round(share_upper(exceeded, len(here)), 4),
                "cut_coverage": mean_interval([100 * record["cut_coverage"] for record in here]),
                "cut_risk": mean_interval([100 * record["cut_risk"] for record in here]),
                "cut_exceeded": round(cut_exceeded / len(here), 4),
                "cost": round(sum(record["cost"] for record in here) / len(here), 4),
            }
        )
    return cells
