"""What the console shows, as one JSON document. Pure: it reads counters and changes nothing.

JSON has no infinity: an end of a window that is open is null.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, get_args

from cascade.cascade_file import Cascade
from cascade.intervals import wilson
from cascade.policy import Policy
from serving.bounds import forwarded_scores
from serving.drift import ScoreDrift
from serving.engine import Engine
from serving.members import member_key
from serving.scheduling.breaker import Breaker, State
from serving.served import ServedCascade
from serving.statistics import LATENCY_BOUNDS_S, CascadeStatistics, MemberStatistics, Outcome

FORMAT_VERSION = 1


def console_state(engine: Engine, now_s: float) -> dict[str, Any]:
    """Counters are of all time, so that the reader forms rates from two documents and their `now_s`."""
    counters = engine.statistics.cascades
    cascades = engine.registry.cascades.values()
    return {
        "format_version": FORMAT_VERSION,
        "now_s": now_s,
        "is_accepting": engine.is_accepting,
        "queued_rows": engine.queued_rows,
        "active_requests": engine.active_requests,
        "latency_bounds_s": list(LATENCY_BOUNDS_S),
        "cascades": [_cascade(served, counters.get(served.name, CascadeStatistics())) for served in cascades],
        "members": list(_members(engine)),
    }


def _cascade(served: ServedCascade, counters: CascadeStatistics) -> dict[str, Any]:
    return _description(served.cascade) | {
        "gear": served.gear,
        "shifts": {"down": counters.shifts["down"], "up": counters.shifts["up"]},
        "requests": _requests(counters),
        "rows": counters.rows,
        "exits": [
            {"policy": policy, "stage": stage, "reason": reason, "rows": rows}
            for (policy, stage, reason), rows in sorted(counters.exits.items())
        ],
        "accepted": dict(counters.accepted),
        "latency": [
            {"stage": stage, "seconds": took.seconds, "counts": list(took.counts)}
            for stage, took in sorted(counters.latency.items())
        ],
        "macs": counters.macs,
        "full_macs": counters.full_macs,
        "audits": _audits(counters),
        "drift": {policy: _drift(drift) for policy, drift in served.drift.items()},
    }


def _description(cascade: Cascade) -> dict[str, Any]:
    """What does not change while a version is served."""
    return {
        "name": cascade.name,
        "version": cascade.version,
        "inputs": [asdict(spec) for spec in cascade.inputs],
        "classes": list(cascade.classes),
        "stages": [[_member(cascade, name) for name in names] for names in cascade.stages],
        "default_policy": cascade.default_policy,
        "policies": [_policy(name, policy) for name, policy in cascade.policies.items()],
        "gears": list(cascade.gears),
    }


def _member(cascade: Cascade, name: str) -> dict[str, Any]:
    member = cascade.member(name)
    return {
        "name": name,
        "version": member.version,
        "key": member_key(member),
        "macs": member.macs,
        "inputs": dict(member.inputs),
    }


def _policy(name: str, policy: Policy) -> dict[str, Any]:
    """`forwards` has the scores that go on, of each stage but the last; `expected_*` is of its evidence."""
    return {
        "name": name,
        "kind": policy.kind,
        "score": policy.score,
        "forwards": forwarded_scores(policy),
        "expected_forwarded": policy.known_forwarded,
        "objective": policy.objective,
    }


def _requests(counters: CascadeStatistics) -> dict[str, int]:
    """By how they ended; `degraded` ones are among the successes."""
    ended = counters.without_answer
    failed = {str(outcome): ended[outcome].count if outcome in ended else 0 for outcome in get_args(Outcome)}
    return {"success": counters.success.count, "degraded": counters.degraded, **failed}


def _audits(counters: CascadeStatistics) -> list[dict[str, Any]]:
    policies = sorted({policy for policy, _ in counters.audits})
    return [{"policy": policy} | _audit(counters, policy) for policy in policies]


def _audit(counters: CascadeStatistics, policy: str) -> dict[str, Any]:
    """`agreement` is the share that agreed of the rows that were audited, with Wilson's 95% interval."""
    agreed, disagreed = counters.audits[policy, "agreed"], counters.audits[policy, "disagreed"]
    known = agreed + disagreed
    share = agreed / known if known else None
    return {
        "agreed": agreed,
        "disagreed": disagreed,
        "missing": counters.audits[policy, "missing"],
        "agreement": share,
        "interval": None if share is None else list(wilson(share, known)),
    }


def _drift(drift: ScoreDrift) -> dict[str, Any]:
    """Bin k ends at `edges[k]`, inclusive; the last one is open."""
    return {
        "edges": drift.edges.tolist(),
        "expected": drift.expected.tolist(),
        "counts": drift.counts.tolist(),
        "index": drift.index,
    }


def _members(engine: Engine) -> Iterator[dict[str, Any]]:
    """Each once, whatever the cascades that share it."""
    breakers = engine.breakers.states()
    keys = dict.fromkeys(
        member.key for served in engine.registry.cascades.values() for member in served.slots
    )
    for key in keys:
        counters = engine.statistics.members.get(key, MemberStatistics())
        yield {
            "key": key,
            "rows": counters.rows,
            "batches": counters.compute.count,
            "compute_s": counters.compute.ns / 1e9,
            "failures": counters.failed.count,
            "breaker": _breaker(breakers, key),
        }


def _breaker(breakers: Mapping[str, Breaker], key: str) -> dict[str, Any]:
    """A member that was sent nothing yet has none, which is as good as a closed one."""
    breaker = breakers.get(key)
    state = State.CLOSED if breaker is None else breaker.state
    return {"state": state.value, "opened": 0 if breaker is None else breaker.num_opened}
