"""Policies as JSON: alone in a file with the stages they were fitted for, or inside a cascade file.

JSON has no infinity: in an acceptance threshold null accepts every row and "none" accepts no row; a null
threshold forwards every row, "none" forwards none; in a window null is an open end, and a null window
forwards nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from cascade.calibrator import Calibrator
from cascade.errors import FormatError, PolicyError
from cascade.fields import Fields, number, numbers, read_json, strings, write_json
from cascade.policy import ACCEPT_ALL, FORWARD_ALL, Placement, Policy, Subset
from cascade.stages import Stages, stages_from_json
from cascade.window import NOTHING, Tie, Window

FORMAT_VERSION = 1
Part = TypeVar("Part")


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
        "ties": tuple(_ties(item, where) for item in fields.take("ties", list, [])),
        "tie_seed": fields.take("tie_seed", int, 0),
        "weights": tuple(numbers(item, f"{where}: weights") for item in fields.take("weights", list, [])),
        "temperatures": numbers(fields.take("temperatures", list, []), f"{where}: temperatures"),
        "calibrators": tuple(_calibrator(item, where) for item in fields.take("calibrators", list, [])),
        "accept_above": _bounds(fields, "accept_above", ACCEPT_ALL),
        "accept_above_cut": _bounds(fields, "accept_above_cut", ACCEPT_ALL),
        "subsets": tuple(_subset(item, where) for item in fields.take("subsets", list, [])),
        "ranked_by": fields.take("ranked_by", str, "score"),
        "placements": tuple(_placement(item, where) for item in fields.take("placements", list, [])),
        "members": {name: _sha256(sha, f"{where}: members") for name, sha in members.items()},
        "objective": fields.take("objective", (str, type(None)), None),
        "budget": fields.take("budget", (str, type(None)), None),
        "evidence": fields.take("evidence", dict, {}),
    }
    fields.close()
    return _made(partial(Policy, **policy), where)


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
        "ties": [[{"score": tie.score, "share": tie.share} for tie in ties] for ties in policy.ties],
        "tie_seed": policy.tie_seed or None,
        "ranked_by": policy.ranked_by,
        "placements": [_placement_to_json(placement) for placement in policy.placements],
        "weights": [list(weights) for weights in policy.weights],
        "temperatures": list(policy.temperatures),
        "accept_above": [_bound_to_json(value, ACCEPT_ALL) for value in policy.accept_above],
        "accept_above_cut": [_bound_to_json(value, ACCEPT_ALL) for value in policy.accept_above_cut],
        "calibrators": [_calibrator_to_json(calibrator) for calibrator in policy.calibrators],
        "subsets": [_subset_to_json(subset) for subset in policy.subsets],
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
    return _made(Calibrator, where, scores, confidences)


def _made(kind: Callable[..., Part], where: str, *values: object) -> Part:
    try:
        return kind(*values)
    except PolicyError as error:
        raise FormatError(f"{where}: {error}") from None


def _calibrator_to_json(calibrator: Calibrator | None) -> dict[str, Any] | None:
    if calibrator is None:
        return None
    return {"scores": list(calibrator.scores), "confidences": list(calibrator.confidences)}


def _ties(value: object, where: str) -> tuple[Tie, ...]:
    if not isinstance(value, list):
        raise FormatError(f"{where}: ties of a stage are a list")
    read = []
    for item in value:
        fields = Fields(item, f"{where}: tie")
        score, share = (number(fields.take(key, (int, float)), fields.where) for key in ("score", "share"))
        fields.close()
        read.append(_made(Tie, where, score, share))
    return tuple(read)


def _placement(value: object, where: str) -> Placement:
    fields = Fields(value, f"{where}: placement")
    share, below = (number(fields.take(key, (int, float)), fields.where) for key in ("share", "below"))
    anchor = fields.take("anchor", (int, float, str))
    slides = fields.take("slides", bool, True)
    fields.close()
    ends = {"lowest": -math.inf, "highest": math.inf}
    score = ends[anchor] if anchor in ends else number(anchor, fields.where)
    return _made(Placement, where, share, score, below, slides)


def _placement_to_json(placement: Placement) -> dict[str, Any]:
    anchor = placement.anchor
    end = "lowest" if anchor < 0 else "highest"
    return {
        "share": placement.share,
        "anchor": anchor if math.isfinite(anchor) else end,
        "below": placement.below,
        "slides": placement.slides,
    }


def _subset(value: object, where: str) -> Subset:
    fields = Fields(value, f"{where}: subset")
    members = strings(fields.take("members", list), fields.where)
    above = _bound(fields.take("accept_above", (int, float, str, type(None))), ACCEPT_ALL, fields.where)
    calibrator = _calibrator(fields.take("calibrator", (dict, type(None)), None), fields.where)
    fields.close()
    return Subset(members, above, calibrator)


def _subset_to_json(subset: Subset) -> dict[str, Any]:
    return {
        "members": list(subset.members),
        "accept_above": _bound_to_json(subset.accept_above, ACCEPT_ALL),
        "calibrator": _calibrator_to_json(subset.calibrator),
    }


def _bounds(fields: Fields, key: str, null: float) -> tuple[float, ...]:
    where = f"{fields.where}: {key}"
    return tuple(_bound(item, null, where) for item in fields.take(key, list, []))


def _bound(item: object, null: float, where: str) -> float:
    """A number, or null for the infinity that takes every row in and "none" for the other one."""
    if item is None or item == "none":
        return null if item is None else -null
    return number(item, where)


def _bound_to_json(value: float, null: float) -> float | str | None:
    if math.isfinite(value):
        return value
    return None if value == null else "none"


def _sha256(value: object, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise FormatError(f"{where}: a sha256 is a string or null, got {value}")
    return value
