"""The state document: what it says after known requests, and of what is rare."""

import json
import math
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cascade.intervals import wilson
from cascade.policy import ACCEPT_ALL, Policy
from cascade.window import NOTHING, Window
from serving.bounds import forwarded_scores
from serving.config import Limits, SchedulerConfig
from serving.console.state import console_state
from serving.engine import Engine
from serving.loading import Loader, read_cascades
from tests.repositories import Repository
from tests.servers import Server, serving
from tests.serving.console.asking import ask

NUM_ROWS = 60


@pytest.fixture(scope="module")
def own_server(repository: Repository) -> Iterator[Server]:
    """One that nobody else sends anything to."""
    with serving(repository.path) as running:
        yield running


def state_of(server: Server) -> Any:
    with urllib.request.urlopen(f"http://{server.http}/v2/console/state") as response:
        return json.load(response)


def test_after_requests_it_counts_what_the_answers_said(own_server: Server, repository: Repository) -> None:
    rows = repository.test.image[:NUM_ROWS]
    before = state_of(own_server)["cascades"][0]
    assert (before["exits"], before["rows"], before["latency"], before["macs"]) == ([], 0, [], 0)

    answers = {
        "window": ask(own_server.http, rows, policy="window"),
        "threshold": ask(own_server.http, rows[:7], policy="threshold", max_stages=1),
    }

    document = state_of(own_server)
    (cascade,) = document["cascades"]
    said = Counter(
        (policy, int(stage), reason.decode())
        for policy, answer in answers.items()
        for stage, reason in zip(answer.as_numpy("exit_stage"), answer.as_numpy("exit_reason"), strict=True)
    )
    assert {
        (exit["policy"], exit["stage"], exit["reason"]): exit["rows"] for exit in cascade["exits"]
    } == said
    assert cascade["rows"] == NUM_ROWS + 7
    assert cascade["requests"] == {
        "success": 2, "degraded": 0, "failed": 0, "shed": 0, "timed_out": 0, "cancelled": 0,
    }  # fmt: skip
    furthest = Counter(int(answer.as_numpy("exit_stage").max()) for answer in answers.values())
    assert {each["stage"]: sum(each["counts"]) for each in cascade["latency"]} == furthest
    assert all(len(each["counts"]) == len(document["latency_bounds_s"]) + 1 for each in cascade["latency"])

    through = np.cumsum([member.macs for member in repository.cascade.members])
    assert cascade["macs"] == sum(through[stage - 1] * rows for (_, stage, _), rows in said.items())
    assert cascade["full_macs"] == through[-1] * (NUM_ROWS + 7)
    assert cascade["drift"]["window"]["index"] is None, "too few rows"
    assert sum(cascade["drift"]["window"]["counts"]) == NUM_ROWS

    reached = [sum(rows for (_, stage, _), rows in said.items() if stage >= least) for least in (1, 2, 3)]
    assert [(member["key"], member["rows"]) for member in document["members"]] == [
        (f"digits-{number}/1", rows) for number, rows in enumerate(reached)
    ]
    assert {member["breaker"]["state"] for member in document["members"]} == {"closed"}


def test_it_describes_the_cascade_as_its_file_does(server: Server, repository: Repository) -> None:
    document = state_of(server)
    (cascade,) = document["cascades"]
    assert (document["format_version"], document["is_accepting"]) == (1, True)
    assert (cascade["name"], cascade["version"], cascade["default_policy"]) == ("digits", 1, "window")
    assert cascade["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}]
    assert cascade["stages"][1] == [
        {"name": "digits-1", "version": 1, "key": "digits-1/1", "macs": 1280.0, "inputs": {"image": "image"}}
    ]
    assert (cascade["gears"], cascade["gear"], cascade["audits"]) == ([], None, [])
    window = next(policy for policy in cascade["policies"] if policy["name"] == "window")
    known = repository.cascade.policies["window"]
    assert window["forwards"] == [[w.lo, w.hi] for w in known.windows]
    assert window["expected_forwarded"] == list(known.known_forwarded or ())
    assert sum(cascade["drift"]["window"]["expected"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("policy", "bounds"),
    [
        (Policy(kind="window", num_stages=2, windows=(Window(0.2, 0.4),)), [[0.2, 0.4]]),
        (Policy(kind="window", num_stages=2, windows=(Window(-math.inf, 0.4),)), [[None, 0.4]]),
        (Policy(kind="window", num_stages=2, windows=(NOTHING,)), [None]),
        (Policy(kind="threshold", num_stages=2, thresholds=(0.7,)), [[None, 0.7]]),
        (Policy(kind="threshold", num_stages=2, thresholds=(math.inf,)), [[None, None]]),
        (Policy(kind="threshold", num_stages=2, thresholds=(ACCEPT_ALL,)), [None]),
        (Policy(kind="full", num_stages=3), [[None, None], [None, None]]),
        (Policy(kind="first", num_stages=3), [None, None]),
        (Policy(kind="agreement", num_stages=2), None),
    ],
)  # fmt: skip
def test_the_scores_that_a_policy_forwards_have_no_infinity(policy: Policy, bounds: object) -> None:
    assert forwarded_scores(policy) == bounds


def engine_of(repository: Repository, gears: tuple[str, ...] = ()) -> Engine:
    cascades = [replace(cascade, gears=gears) for cascade in read_cascades(repository.path)]
    return Engine(Loader(repository.path, 8).load_all(cascades), SchedulerConfig(), Limits())


def test_audits_have_their_agreement_and_its_interval(repository: Repository) -> None:
    engine = engine_of(repository)
    audits = engine.statistics.cascades["digits"].audits
    audits.update({("window", "agreed"): 90, ("window", "disagreed"): 10, ("window", "missing"): 3})
    audits["first", "missing"] = 2
    first, window = console_state(engine, 0.0)["cascades"][0]["audits"]
    assert first == {
        "policy": "first", "agreed": 0, "disagreed": 0, "missing": 2, "agreement": None, "interval": None,
    }  # fmt: skip
    assert (window["agreement"], window["missing"]) == (0.9, 3)
    assert window["interval"] == pytest.approx(wilson(0.9, 100))


def test_gears_and_breakers_are_told(repository: Repository) -> None:
    engine = engine_of(repository, gears=("window", "first"))
    served = engine.registry.cascades["digits"]
    served.gearbox.down(1.0)
    engine.statistics.shifted("digits", "down")
    engine.breakers.admits(served.slots[1], 0.0)
    for moment_s in range(3):
        engine.breakers.states()["digits-1/1"].failed(moment_s)
    document = console_state(engine, 7.5)
    cascade = document["cascades"][0]
    assert (cascade["gears"], cascade["gear"]) == (["window", "first"], 1)
    assert cascade["shifts"] == {"down": 1, "up": 0}
    assert [member["breaker"] for member in document["members"]] == [
        {"state": "closed", "opened": 0}, {"state": "open", "opened": 1}, {"state": "closed", "opened": 0},
    ]  # fmt: skip
    assert document["now_s"] == 7.5


def test_reading_it_changes_nothing(repository: Repository) -> None:
    engine = engine_of(repository)
    assert console_state(engine, 0.0) == console_state(engine, 0.0)
    assert not engine.statistics.cascades and not engine.statistics.members
