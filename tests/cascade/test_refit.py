"""Windows laid again over shifted rows: the budget holds again, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest

from cascade.errors import FitError
from cascade.fitting.fit import FitSettings, divided, fit
from cascade.fitting.refit import cost_on, refit, relaid
from cascade.objectives.parse import parse_objective
from cascade.policy import Policy
from cascade.replay import replay
from cascade.scores_file import ScoresFile
from tests.cascade.made_up import STAGES, outputs, saturated

SCORES = outputs(4000)
SHARED = {"method": "paper", "objective": "coverage@risk=0.1", "budget": "2x"}


def shifted(rows: int = 4000, seed: int = 3) -> ScoresFile:
    """Rows on which all members are much surer."""
    scores = outputs(rows, seed=seed)
    return replace(scores, outputs=scores.outputs * np.float32(3.0))


def sliding(policy: Policy) -> Policy:
    """The paper's windows, but what the ends of the ranks cut off is added at the other side."""
    return replace(policy, placements=tuple(replace(laid, slides=True) for laid in policy.placements))


@pytest.mark.parametrize("kind", ["window", "threshold"])
def test_the_budget_holds_again(kind: str) -> None:
    policy = sliding(fit(SCORES, STAGES, FitSettings(kind=kind, **SHARED)))
    rows = shifted()
    allowed = cost_on(policy, STAGES, SCORES)
    assert abs(cost_on(policy, STAGES, rows) - allowed) > 0.3
    again = refit(policy, STAGES, rows)
    assert cost_on(again, STAGES, rows) == pytest.approx(allowed, abs=0.05)
    assert cost_on(again, STAGES, shifted(seed=4)) == pytest.approx(allowed, abs=0.1)
    assert again.evidence["refitted"] == {"rows": 4000, "cost": cost_on(again, STAGES, rows)}


@pytest.mark.parametrize("kind", ["window", "threshold"])
def test_rows_that_did_not_shift_leave_the_windows_where_they_are(kind: str) -> None:
    settings = FitSettings(kind=kind, **SHARED)
    policy = fit(SCORES, STAGES, settings)
    choosing, _ = divided(SCORES, parse_objective(settings.objective), settings)
    again = refit(policy, STAGES, SCORES.rows(choosing))
    assert (again.windows, again.thresholds, again.ties) == (policy.windows, policy.thresholds, policy.ties)


def test_labels_are_not_looked_at() -> None:
    policy, rows = fit(SCORES, STAGES, FitSettings(**SHARED)), shifted()
    bare = replace(rows, labels=np.full(rows.num_rows, -1), is_labelled=False)
    assert refit(policy, STAGES, bare) == refit(policy, STAGES, rows)


def test_what_needs_labels_stays_and_the_certificate_goes() -> None:
    policy = fit(SCORES, STAGES, FitSettings(certify=0.1, **SHARED))
    assert policy.evidence["certified"] is True
    again = refit(policy, STAGES, shifted())
    assert again.windows != policy.windows
    for name in ("accept_above", "accept_above_cut", "calibrators", "subsets", "placements", "members"):
        assert getattr(again, name) == getattr(policy, name)
    assert again.evidence["certified"] is False
    assert "delta" not in again.evidence


def test_a_budget_in_seconds_is_kept_in_seconds() -> None:
    """The second member takes ten times as long as the first, in MACs twice as much."""
    settings = FitSettings(kind="threshold", objective="accuracy", budget="3ms")
    timed = replace(SCORES.rows(np.arange(4000)), seconds=(1e-3, 1e-2, 1e-6))
    policy = fit(timed, STAGES, settings)
    rows = replace(shifted(), seconds=timed.seconds)
    assert refit(policy, STAGES, rows).evidence["refitted"]["cost"] == pytest.approx(3, abs=0.05)
    with pytest.raises(FitError, match="budget 3ms needs the array seconds"):
        refit(policy, STAGES, shifted())


def test_what_the_old_windows_did_is_forgotten() -> None:
    settings = FitSettings(kind="window", objective="coverage@risk=0.1", budget="2x")
    old = fit(outputs(1000, members=2), STAGES[:2], settings)
    again = refit(old, STAGES[:2], outputs(1000, seed=3, members=2)).evidence
    kept = {"rows", "choosing_rows", "seed", "chosen", "gain_over_paper"}
    assert again.keys() == kept | {"certified", "refitted", "forwarded", "score_quantiles"}
    assert all(again[name] == old.evidence[name] for name in kept)


def test_a_plateau_is_divided_anew() -> None:
    """Half of the shifted rows have a score of exactly 1, and the threshold falls among them."""
    policy = fit(outputs(4000, members=2), STAGES[:2], FitSettings(kind="threshold", budget="2.4x"))
    rows = saturated(outputs(4000, seed=3, members=2), 0.5)
    again = refit(policy, STAGES[:2], rows)
    assert [tie.score for tie in again.ties[0]] == [1.0]
    assert cost_on(again, STAGES[:2], rows) == pytest.approx(2.4, abs=0.05)


def test_the_scores_that_reached_each_stage_are_enough() -> None:
    policy, rows = fit(SCORES, STAGES, FitSettings(**SHARED)), shifted()
    again = refit(policy, STAGES, rows)
    played = replay(again, STAGES, rows)
    seen = [played.stage_scores[stage, played.reached(stage)] for stage in range(2)]
    from_scores = relaid(policy, seen, rows.macs)
    assert (from_scores.windows, from_scores.ties) == (again.windows, again.ties)
    quantiles = np.quantile(played.stage_scores[0], np.linspace(0, 1, 21), method="inverted_cdf")
    assert again.known_scores == from_scores.known_scores == tuple(quantiles)
    assert again.known_forwarded == pytest.approx([(played.exit_stage > stage).mean() for stage in (1, 2)])
    assert from_scores.known_forwarded == pytest.approx(again.known_forwarded, abs=0.01)
    assert from_scores.evidence["refitted"]["cost"] == pytest.approx(
        again.evidence["refitted"]["cost"], abs=0.01
    )


def test_a_stage_that_no_row_reached_keeps_its_window() -> None:
    policy = fit(SCORES, STAGES, FitSettings(**SHARED))
    again = relaid(policy, [np.linspace(0, 1, 500), np.empty(0)], (1.0, 2.0, 3.0))
    assert again.windows[0] != policy.windows[0]
    assert again.windows[1] == policy.windows[1]


@pytest.mark.parametrize("kind", ["first", "full", "agreement"])
def test_only_what_was_placed_can_be_refitted(kind: str) -> None:
    policy = Policy(kind=kind, num_stages=3)
    with pytest.raises(FitError, match=f"kind '{kind}' without placements cannot be refitted; those of kind"):
        refit(policy, STAGES, shifted())


def test_one_stage_has_nothing_to_lay() -> None:
    with pytest.raises(FitError, match="without placements cannot be refitted"):
        relaid(Policy(kind="window", num_stages=1), [], [1.0])


def test_too_few_rows_and_broken_scores_are_refused() -> None:
    policy = fit(SCORES, STAGES, FitSettings(**SHARED))
    with pytest.raises(FitError, match="39 rows are too few to lay windows on; at least 40"):
        refit(policy, STAGES, shifted().rows(np.arange(39)))
    with pytest.raises(FitError, match="1 scores at stage 1 are not finite"):
        relaid(policy, [np.r_[np.ones(50), np.nan], np.ones(9)], (1.0, 2.0, 3.0))
    with pytest.raises(FitError, match="3 stages need 2 arrays of scores and 3 costs, got 1 and 3"):
        relaid(policy, [np.ones(50)], (1.0, 2.0, 3.0))
