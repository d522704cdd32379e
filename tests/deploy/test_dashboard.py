"""The Grafana dashboard asks for what the server has."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from serving.config import Limits, SchedulerConfig
from serving.engine import Engine
from serving.prometheus import metrics_registry
from serving.registry import Registry
from tests.serving.scheduling.test_scheduler import cascade

DASHBOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "exitgate.json"
METRIC = re.compile(r"\b(?:exitgate|process)_\w+")
PARTS = re.compile(r"_(?:bucket|sum|count)$")


@pytest.fixture(scope="module")
def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def test_every_metric_is_one_that_the_server_has() -> None:
    """Of panels and of variables."""
    engine = Engine(Registry({"c": cascade(("only",))}), SchedulerConfig(), Limits())
    told = generate_latest(metrics_registry(engine)).decode()
    known = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
    asked = {PARTS.sub("", name) for name in METRIC.findall(DASHBOARD.read_text(encoding="utf-8"))}
    assert len(asked) > 20
    assert asked <= known


def test_panels_have_numbers_of_their_own_and_lie_beside_one_another(panels: list[dict[str, Any]]) -> None:
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_beside or is_below
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
