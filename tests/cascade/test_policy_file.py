"""Policy files: every part reads back as written, and garbage in any part is refused by name."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cascade.calibrator import Calibrator
from cascade.errors import FormatError
from cascade.fitting.fit import FitSettings, fit
from cascade.policy import ACCEPT_ALL, ACCEPT_NONE, FORWARD_ALL, Placement, Policy, Subset
from cascade.policy_file import (
    PolicyFile,
    policy_from_json,
    policy_to_json,
    read_policy_file,
    write_policy_file,
)
from cascade.window import NOTHING, Tie, Window
from tests.cascade.made_up import outputs, saturated

STAGES = (("a",), ("b", "c"), ("d",))
RICH = Policy(
    kind="window",
    num_stages=3,
    score="class=2",
    windows=(Window(-math.inf, 0.1 + 0.2), Window(1e-300, math.inf)),
    ties=((Tie(1.0, 1 / 3), Tie(0.25, 0.0)), ()),
    tie_seed=2**70,
    weights=((1.0,), (0.2, 0.3, 0.5), (0.1, 0.2, 0.3, 0.4)),
    temperatures=(1.0, 0.5, 2.0, 1.25),
    calibrators=(Calibrator((0.1, 0.9), (0.2, 0.95)), None, Calibrator((0.5,), (0.5,))),
    accept_above=(ACCEPT_ALL, 0.5, ACCEPT_NONE),
    accept_above_cut=(0.4, ACCEPT_NONE, ACCEPT_ALL),
    subsets=(
        Subset(("a", "b"), 0.7, Calibrator((0.1, 0.9), (0.2, 0.95))),
        Subset(("b",), ACCEPT_ALL),
        Subset(("c",), ACCEPT_NONE),
    ),
    ranked_by="confidence",
    placements=(Placement(0.3, -math.inf, 0.0), Placement(0.25, math.inf, -0.5)),
    members={"a": "00", "b": None},
    objective="coverage@risk=0.05",
    budget="1.3x",
    evidence={"rows": 10, "cost": 1.29, "risk": [0.1, None, None], "calibration": [None, {"brier": 0.2}]},
)
THRESHOLD = Policy(
    kind="threshold",
    num_stages=3,
    thresholds=(FORWARD_ALL, -FORWARD_ALL),
    ties=((), (Tie(-3.0, 1.0),)),
    placements=(Placement(1.0, -12.5, 0.0), Placement(0.0, 0.0, 1.0)),
)
CLOSED = Policy(kind="window", num_stages=3, windows=(NOTHING, Window(0.5, 0.5)), ties=((), ()))


@pytest.mark.parametrize("policy", [RICH, THRESHOLD, CLOSED], ids=["rich", "threshold", "closed"])
def test_every_part_reads_back_as_written(policy: Policy, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    write_policy_file(file, PolicyFile(STAGES, policy))
    read = read_policy_file(file)
    assert read.stages == STAGES
    for name, value in vars(policy).items():
        assert getattr(read.policy, name) == value, name
    json.loads(file.read_text(), parse_constant=pytest.fail)


def test_parts_that_are_not_used_are_left_out() -> None:
    assert policy_to_json(Policy(kind="first", num_stages=2)) == {
        "kind": "first",
        "score": "msp",
        "ranked_by": "score",
    }
    assert not {"tie_seed", "subsets", "placements", "calibrators"} & set(policy_to_json(CLOSED))
    assert [item["anchor"] for item in policy_to_json(RICH)["placements"]] == ["lowest", "highest"]


def test_an_old_file_without_the_newer_parts_is_read() -> None:
    policy = policy_from_json({"kind": "window", "windows": [[0.1, 0.2]]}, "here", 2)
    assert (policy.ties, policy.tie_seed, policy.subsets, policy.placements) == ((), 0, (), ())
    assert (policy.ranked_by, policy.score, policy.accept_above) == ("score", "msp", ())


@pytest.mark.parametrize("kind", ["window", "threshold", "agreement", "first", "full"])
def test_fitted_policies_read_back_as_fitted(kind: str, tmp_path: Path) -> None:
    scores = saturated(outputs(600), 0.4)
    stages = (("a",), ("b", "c"))
    settings = FitSettings(kind=kind, budget="4x", method="paper", objective="risk@coverage=0.6")
    policy = fit(scores, stages, settings)
    write_policy_file(tmp_path / "p.json", PolicyFile(stages, policy))
    read = read_policy_file(tmp_path / "p.json").policy
    assert policy_to_json(read) == policy_to_json(policy)
    assert read.windows == policy.windows
    assert read.accept_above == policy.accept_above
    assert read.subsets == policy.subsets
    assert read.placements == policy.placements
    assert read.calibrators == policy.calibrators
    assert any(policy.ties) == (kind in ("window", "threshold"))
    assert read.ties == policy.ties


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        target: Any = document["policy"]
        *parents, last = (int(key) if key.isdigit() else key for key in path.split("/"))
        for key in parents:
            target = target[key]
        if value is ...:
            del target[last]
        else:
            target[last] = value

    return change


BROKEN = [
    ("ties", 3, "'ties' is a whole number"),
    ("ties", [[]], "ties has 1 entries where 2 belong"),
    ("ties/0", 3, "ties of a stage are a list"),
    ("ties/0/0", [1, 2], "tie: expected an object, got a list"),
    ("ties/0/0/share", 1.5, r"a tie needs a finite score and a share in \[0, 1\]"),
    ("ties/0/0/share", -0.5, r"a tie needs a finite score and a share in \[0, 1\]"),
    ("ties/0/0/share", None, "'share' is null"),
    ("ties/0/0/share", ..., "tie: 'share' is missing"),
    ("ties/0/0/score", "1", "'score' is a string"),
    ("ties/0/0/score", 10**400, "expected a finite number"),
    ("ties/0/0/seed", 1, "tie: unknown keys: seed"),
    ("tie_seed", -1, "tie_seed must be 0 or more, got -1"),
    ("tie_seed", 1.5, "'tie_seed' is the number 1.5"),
    ("tie_seed", True, "'tie_seed' is a boolean"),
    ("tie_seed", "7", "'tie_seed' is a string"),
    ("ranked_by", "luck", "ranked_by 'luck' is none of score, confidence"),
    ("ranked_by", None, "'ranked_by' is null"),
    ("score", "class=x", "'x' is no class number"),
    ("placements", [{"share": 0.1, "anchor": 0.5, "below": 0.5}], "placements has 1 entries where 2 belong"),
    ("placements/0", None, "placement: expected an object, got null"),
    ("placements/0/anchor", "middle", "placement: expected a finite number, got a string"),
    ("placements/0/anchor", None, "'anchor' is null"),
    ("placements/0/anchor", False, "'anchor' is a boolean"),
    ("placements/0/anchor", 10**400, "expected a finite number"),
    ("placements/0/share", 2, r"a placement needs a share in \[0, 1\]"),
    ("placements/0/share", "all", "'share' is a string"),
    ("placements/0/below", ..., "'below' is missing"),
    ("placements/0/width", 1, "placement: unknown keys: width"),
    ("subsets", {}, "'subsets' is an object"),
    ("subsets/0", [], "subset: expected an object, got a list"),
    ("subsets/0/members", "a", "'members' is a string"),
    ("subsets/0/members", [1], "expected a list of strings"),
    ("subsets/0/members", ..., "'members' is missing"),
    ("subsets/0/accept_above", "all", "expected a finite number, got a string"),
    ("subsets/0/accept_above", ..., "'accept_above' is missing"),
    ("subsets/0/accept_above", True, "'accept_above' is a boolean"),
    ("subsets/0/calibrator", 3, "'calibrator' is a whole number"),
    ("subsets/0/calibrator/confidences", [0.5, 0.1], "confidences must be finite and never decrease"),
    ("subsets/0/calibrator/confidences", [0.5, 1.1], r"confidences must lie in \[0, 1\]"),
    ("subsets/0/chance", 1, "subset: unknown keys: chance"),
    ("accept_above_cut", [0.5], "accept_above_cut has 1 entries where 3 belong"),
    ("accept_above_cut/0", "all", "accept_above_cut: expected a finite number, got a string"),
    ("calibrators/0/scores", [], "0 scores and 2 confidences"),
    ("windows/0", [0.5, 0.1], "ends before it begins"),
    ("temperatures", [1, 1, 1], "needs 4 temperatures"),
    ("temperatures/0", 0, "temperatures must be positive"),
    ("weights/1", [1], "needs .* weights per stage"),
    ("weights/1/0", "1", "weights: expected a finite number, got a string"),
    ("members/a", 3, "a sha256 is a string or null"),
    ("budget", 3, "'budget' is a whole number"),
    ("evidence", [], "'evidence' is a list"),
]


@pytest.mark.parametrize(("path", "value", "message"), BROKEN)
def test_garbage_is_refused_by_name(path: str, value: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    write_policy_file(file, PolicyFile(STAGES, RICH))
    document = json.loads(file.read_text())
    _set(path, value)(document)
    file.write_text(json.dumps(document))
    with pytest.raises(FormatError, match=message) as caught:
        read_policy_file(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)
