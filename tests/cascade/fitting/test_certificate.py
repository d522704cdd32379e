"""Certified thresholds: by hand on few rows, and by simulation against a known truth."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from cascade.errors import FitError
from cascade.fitting.certificate import Certificate, Ranked
from cascade.fitting.fit import FitSettings, fit
from cascade.objectives.parse import parse_objective
from cascade.replay import replay
from tests.cascade.made_up import STAGES, outputs

NOBODY = np.empty(0)
HALF = Certificate(0.1, 0.5)
RANKS = np.arange(100.0, 0.0, -1.0)
FAULTLESS = Ranked(RANKS, np.ones(100), np.ones(100), np.zeros(100, np.intp))


def errors_at(*places: int, rows: int = 100) -> np.ndarray:
    """Outcomes of rows in falling order of rank, wrong at these places, counted from 1."""
    outcome = np.ones(rows)
    outcome[np.array(places, int) - 1] = 0.0
    return outcome


def ranked(rank: np.ndarray, outcome: np.ndarray) -> Ranked:
    return Ranked(rank, outcome, np.ones(len(rank)), np.zeros(len(rank), np.intp))


def lowest(certificate: Certificate, seen: Ranked, rows: Ranked) -> float:
    return certificate.thresholds(seen, rows, 1)[0]


def certified(outcome: np.ndarray, *, certificate: Certificate = HALF, seen: Ranked = FAULTLESS) -> float:
    return lowest(certificate, seen, ranked(RANKS, outcome))


def test_without_an_error_every_row_is_certified() -> None:
    assert certified(errors_at()) == -math.inf


def test_the_sequence_stops_before_its_first_failure() -> None:
    """Wrong at 13 to 20: P(X <= 5 | 17) = 0.072 passes, P(X <= 6 | 18) = 0.119 does not, and that the tests
    from row 24 on would pass again does not count."""
    assert binom.cdf(5, 17, 0.5) <= 0.1 < binom.cdf(6, 18, 0.5)
    assert binom.cdf(8, 24, 0.5) <= 0.1
    assert certified(errors_at(*range(13, 21))) == 83.5


def test_the_sequence_starts_where_it_would_likely_pass() -> None:
    """No error was seen among m rows, so the risk is taken as 1/3 of an error in m + 2/3. With 7 rows one
    error passes, P(X <= 1) = 0.0625, and one or none has a chance of 0.97; with 6 none may be, at 0.74."""
    assert binom.cdf(1, 7, 0.5) <= 0.1 < min(binom.cdf(2, 7, 0.5), binom.cdf(1, 6, 0.5))
    assert binom.cdf(0, 6, (1 / 3) / (6 + 2 / 3)) < 0.9 < binom.cdf(1, 7, (1 / 3) / (7 + 2 / 3))
    assert certified(errors_at(1)) == -math.inf
    assert certified(errors_at(1, 2)) == math.inf


def test_where_errors_were_seen_it_starts_later() -> None:
    """Three errors at the top end a sequence that starts at once, and not one that starts below them."""
    assert certified(errors_at(1, 2, 3), seen=ranked(RANKS, errors_at(1, 2, 3))) == -math.inf


def test_thresholds_come_from_the_rows_seen() -> None:
    seen = ranked(RANKS + 0.5, np.ones(100))
    assert certified(errors_at(*range(13, 21)), seen=seen) == 84.0
    assert certified(errors_at(), seen=ranked(NOBODY, NOBODY)) == math.inf
    assert lowest(HALF, seen, ranked(NOBODY, NOBODY)) == math.inf


def test_rows_that_leave_early_are_certified_by_themselves() -> None:
    """Of 100 rows every second leaves first, and of those the last 25 were seen wrong, and are: where they
    begin, the floor of the first depth lies, while the rows that leave last are certified to the end."""
    depth = np.arange(100) % 2
    outcome = np.where((depth == 0) & (np.arange(100) >= 50), 0.0, 1.0)
    rows = replace(ranked(RANKS, outcome), depth=depth)
    first, last = HALF.thresholds(rows, rows, 2)
    assert last == -math.inf
    assert 20 < first < 50
    left = outcome[(depth == 0) & (first <= RANKS)]
    assert binom.cdf((left < 0.5).sum(), len(left), 0.5) <= 0.1
    assert HALF.thresholds(ranked(RANKS, outcome), ranked(RANKS, outcome), 2)[1] < math.inf


def test_a_single_row_certifies_nothing() -> None:
    one = ranked(np.ones(1), np.ones(1))
    assert lowest(HALF, one, one) == math.inf


def test_a_familys_members_share_the_delta() -> None:
    family = Certificate(0.1, 0.05, family=10)
    assert family.level == pytest.approx(0.01)
    assert (Certificate(0.1, 0.05).rows_needed, family.rows_needed) == (45, 90)
    outcome = errors_at(*range(13, 21))
    assert certified(outcome, certificate=Certificate(0.1, 0.5, family=10)) > certified(outcome)


def test_too_few_rows_are_refused() -> None:
    assert 0.95**45 <= 0.1 < 0.95**44
    Certificate(0.1, 0.05).check_rows(45)
    with pytest.raises(FitError, match=r"44 rows are too few to certify a risk of 0.05 at delta 0.1; at l"):
        Certificate(0.1, 0.05).check_rows(44)
    with pytest.raises(FitError, match=r"40 rows are too few to certify .* at least 45 must be left"):
        fit(outputs(80), STAGES, FitSettings(kind="first", certify=0.1, choosing_share=0.5))


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, math.nan])
def test_delta_is_a_chance(delta: float) -> None:
    with pytest.raises(FitError, match="delta must lie between 0 and 1"):
        FitSettings(certify=delta)


def test_only_a_risk_can_be_certified() -> None:
    for objective in ("accuracy", "risk@coverage=0.8", "coverage@risk=0.1,ood=0.2"):
        with pytest.raises(FitError, match="only coverage@risk=R can be certified, and the objective is"):
            FitSettings(objective=objective, certify=0.1)


def test_copies_of_a_row_certify_nothing() -> None:
    """Rows in groups of four alike: one of each group is judged, so the evidence counts a quarter of them."""
    scores = outputs(4000, members=2, groups=True)
    certified = fit(scores, STAGES[:2], FitSettings(kind="full", certify=0.1))
    estimated = fit(scores, STAGES[:2], FitSettings(kind="full"))
    assert (certified.evidence["rows"], estimated.evidence["rows"]) == (800, 2000)
    assert (certified.evidence["certified"], certified.evidence["delta"]) == (True, 0.1)
    assert (estimated.evidence["certified"], "delta" in estimated.evidence) == (False, False)
    assert certified.accept_above[1] > estimated.accept_above[1]


def highest_allowed(draws: int, delta: float) -> int:
    """More broken promises than this have a chance below 0.1% at delta."""
    return int(binom.ppf(0.999, draws, delta))


def test_the_true_risk_exceeds_the_target_on_at_most_a_delta_of_draws() -> None:
    """Ranks are even in [0, 1], a row of rank u is wrong with chance 0.8 (1 - u)^3: accepting from t on has a
    risk of 0.2 (1 - t)^3, and the target of 0.05 is met from 0.37 on."""
    rng = np.random.default_rng(0)
    certificate, objective = Certificate(0.2, 0.05), parse_objective("coverage@risk=0.05")
    proven, estimated = [], []
    for _ in range(200):
        rank = rng.random((2, 600))
        outcome = (rng.random((2, 600)) > 0.8 * (1 - rank) ** 3).astype(float)
        seen, rows = (ranked(rank[half], outcome[half]) for half in (0, 1))
        proven.append(lowest(certificate, seen, rows))
        estimated.append(objective.accept_above(rows.rank, rows.outcome))
    met_from = 1 - 0.25 ** (1 / 3)
    broken = np.array(proven) < met_from
    assert broken.sum() <= highest_allowed(200, 0.2)
    assert broken.sum() >= 13, "so careful a certificate would cost coverage for nothing"
    assert np.mean(np.array(estimated) < met_from) > 0.35
    assert np.median(proven) < 0.5


def test_certified_policies_keep_their_promise_at_every_depth() -> None:
    population = outputs(20_000, seed=1, members=2)
    draws, delta = 40, 0.2
    rng = np.random.default_rng(2)
    settings = FitSettings(kind="threshold", objective="coverage@risk=0.1", budget="1.6x", certify=delta)
    broken = {None: 0, 1: 0}
    coverage = []
    for _ in range(draws):
        policy = fit(population.rows(rng.integers(0, 20_000, 1200)), STAGES[:2], settings)
        for max_stages in broken:
            played = replay(policy, STAGES[:2], population, max_stages, keep_probabilities=False)
            wrong = (played.label != population.labels)[played.accepted]
            broken[max_stages] += bool(len(wrong) and wrong.mean() > 0.1)
            coverage.append(played.accepted.mean())
    assert max(broken.values()) <= highest_allowed(draws, delta)
    assert np.mean(coverage) > 0.6
