"""Policies as JSON: alone in a file with the stages they were fitted for, or inside a cascade file.

JSON has no infinity: in an acceptance threshold null accepts every row and "none" accepts no row; a null
threshold forwards every row, "none" forwards none; in a window null is an open end, and a null window
forwards nothing.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cascade.calibration import Calibrator
from cascade.errors import FormatError, PolicyError
from cascade.fields import Fields, number, numbers, read_json, write_json
from cascade.policy import ACCEPT_ALL, FORWARD_ALL, NOTHING, Policy, Window
from cascade.stages import Stages, stages_from_json

FORMAT_VERSION = 1


@dataclass(frozen=True)
class PolicyFile:
    """A policy alone, with the names of the members of each stage that it was fitted for."""

    stages: Stages
    policy: Policy


def read_policy_file(path: Path) -> PolicyFile:
    fields = Fields(read_json(path), str(path))
    fields.version(FORMAT_VERSION)
    stages = stages_from_json(fields.take("stages", list), f"{path}: stages")
    policy = policy_from_json(fields.take("policy", dict), f"{path}: policy", len(stages))
    fields.close()
    try:
        check_sizes(policy, stages)
    except PolicyError as error:
        raise FormatError(f"{path}: policy {error}") from None
    return PolicyFile(stages, policy)


def write_policy_file(path: Path, file: PolicyFile) -> None:
    write_json(
        path,
        {
            "format_version": FORMAT_VERSION,
            "stages": [list(stage) for stage in file.stages],
            "policy": policy_to_json(file.policy),
        },
    )


def check_sizes(policy: Policy, stages: Stages) -> None:
    """PolicyError where weights or temperatures are not as many as the members so far."""
    sizes = [sum(map(len, stages[: stage + 1])) for stage in range(len(stages))]
    if policy.weights and [len(weights) for weights in policy.weights] != sizes:
        raise PolicyError(f"needs {sizes} weights per stage")
    if policy.temperatures and len(policy.temperatures) != sizes[-1]:
        raise PolicyError(f"needs {sizes[-1]} temperatures")


def policy_from_json(value: Any, where: str, num_stages: int) -> Policy:
    fields = Fields(value, where)
    members = fields.take("members", dict, {})
    policy = {
        "kind": fields.take("kind", str),
        "num_stages": num_stages,
        "score": fields.take("score", str, "msp"),
        "windows": tuple(_window(item, where) for item in fields.take("windows", list, [])),
        "thresholds": _bounds(fields, "thresholds", FORWARD_ALL),
        "weights": tuple(numbers(item, f"{where}: weights") for item in fields.take("weights", list, [])),
        "temperatures": numbers(fields.take("temperatures", list, []), f"{where}: temperatures"),
        "calibrators": tuple(_calibrator(item, where) for item in fields.take("calibrators", list, [])),
        "accept_above": _bounds(fields, "accept_above", ACCEPT_ALL),
        "accept_above_cut": _bounds(fields, "accept_above_cut", ACCEPT_ALL),
        "members": {name: _sha256(sha, f"{where}: members") for name, sha in members.items()},
        "objective": fields.take("objective", (str, type(None)), None),
        "budget": fields.take("budget", (str, type(None)), None),
        "evidence": fields.take("evidence", dict, {}),
    }
    fields.close()
    try:
        return Policy(**policy)
    except PolicyError as error:
        raise FormatError(f"{where}: {error}") from None


def policy_to_json(policy: Policy) -> dict[str, Any]:
    """Empty parts are left out, so that a file shows what the policy uses."""
    parts: dict[str, Any] = {
        "kind": policy.kind,
        "score": policy.score,
        "objective": policy.objective,
        "budget": policy.budget,
        "windows": [
            None if window == NOTHING else [_end(window.lo), _end(window.hi)] for window in policy.windows
        ],
        "thresholds": [_bound_to_json(value, FORWARD_ALL) for value in policy.thresholds],
        "weights": [list(weights) for weights in policy.weights],
        "temperatures": list(policy.temperatures),
        "accept_above": [_bound_to_json(value, ACCEPT_ALL) for value in policy.accept_above],
        "accept_above_cut": [_bound_to_json(value, ACCEPT_ALL) for value in policy.accept_above_cut],
        "calibrators": [
            calibrator and {"scores": list(calibrator.scores), "confidences": list(calibrator.confidences)}
            for calibrator in policy.calibrators
        ],
        "members": dict(policy.members),
        "evidence": dict(policy.evidence),
    }
    return {key: part for key, part in parts.items() if part not in (None, [], {})}


def _window(value: object, where: str) -> Window:
    if value is None:
        return NOTHING
    if not isinstance(value, list) or len(value) != 2:
        raise FormatError(f"{where}: a window is [lo, hi] or null, got {value}")
    lo = -math.inf if value[0] is None else number(value[0], f"{where}: window")
    hi = math.inf if value[1] is None else number(value[1], f"{where}: window")
    if lo > hi:
        raise FormatError(f"{where}: window [{lo}, {hi}] ends before it begins")
    return Window(lo, hi)


def _end(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _calibrator(value: object, where: str) -> Calibrator | None:
    if value is None:
        return None
    fields = Fields(value, f"{where}: calibrator")
    scores = numbers(fields.take("scores", list), fields.where)
    confidences = numbers(fields.take("confidences", list), fields.where)
    fields.close()
    try:
        return Calibrator(scores, confidences)
    except PolicyError as error:
        raise FormatError(f"{where}: {error}") from None


def _bounds(fields: Fields, key: str, null: float) -> tuple[float, ...]:
    """Numbers, or null for the infinity that takes every row in and "none" for the other one."""
    where = f"{fields.where}: {key}"
    special = {None: null, "none": -null}
    return tuple(
        special[item] if item is None or item == "none" else number(item, where)
        for item in fields.take(key, list, [])
    )


def _bound_to_json(value: float, null: float) -> float | str | None:
    if math.isfinite(value):
        return value
    return None if value == null else "none"


def _sha256(value: object, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise FormatError(f"{where}: a sha256 is a string or null, got {value}")
    return value
