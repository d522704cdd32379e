"""Cascade and policy files: what is written reads back; what is broken or foreign is refused by name."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cascade.calibrator import Calibrator
from cascade.cascade_file import (
    Cascade,
    Member,
    TensorSpec,
    cascade_from_json,
    cascade_to_json,
    read_cascade,
    write_cascade,
)
from cascade.errors import CascadeError, FormatError
from cascade.policy import ACCEPT_ALL, ACCEPT_NONE, FORWARD_ALL, Placement, Policy, Subset
from cascade.policy_file import PolicyFile, read_policy_file, write_policy_file
from cascade.runtime import Runtime, ServiceCurve
from cascade.window import NOTHING, Tie, Window

FULL_POLICY = Policy(
    kind="window",
    num_stages=3,
    score="entropy",
    windows=(Window(-math.inf, -0.25), NOTHING),
    weights=((1.0,), (1.0, 2.0), (1.0, 2.0, 3.0)),
    temperatures=(1.0, 1.5, 2.0),
    calibrators=(Calibrator((0.1, 0.9), (0.2, 0.95)), None, None),
    accept_above=(ACCEPT_ALL, -0.5, ACCEPT_NONE),
    accept_above_cut=(-0.4, ACCEPT_NONE, ACCEPT_NONE),
    ties=((Tie(-0.25, 0.4),), ()),
    tie_seed=7,
    subsets=(Subset(("m-1",), -0.3, Calibrator((0.1,), (0.9,))), Subset(("m-2",), ACCEPT_NONE)),
    ranked_by="confidence",
    placements=(Placement(0.3, -math.inf, 0.0), Placement(0.0, -0.5, 0.5)),
    members={"m-0": "00", "m-1": None},
    objective="coverage@risk=0.05",
    budget="1.3x",
    evidence={"rows": 10, "cost": 1.29},
)
THRESHOLD = Policy(kind="threshold", num_stages=3, thresholds=(FORWARD_ALL, -FORWARD_ALL))


def example() -> Cascade:
    names = ("m-0", "m-1", "m-2")
    return Cascade(
        name="m",
        version=4,
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 8)),),
        classes=("cat", "dog"),
        members=tuple(
            Member(name=name, version=1, sha256=f"0{k}", macs=10.0 * (k + 1), inputs={"x": "x"})
            for k, name in enumerate(names)
        ),
        stages=(("m-0",), ("m-1",), ("m-2",)),
        policies={"window": FULL_POLICY, "threshold": THRESHOLD},
        default_policy="window",
        provenance={"run": "r"},
    )


def test_a_cascade_reads_back_as_written(tmp_path: Path) -> None:
    file = tmp_path / "m.cascade.json"
    write_cascade(file, example())
    assert read_cascade(file) == example()
    assert [path.name for path in tmp_path.iterdir()] == ["m.cascade.json"]


def measured() -> Cascade:
    """The second member a plan for one kind of GPU, in eight bits."""
    cascade = example()
    first, second, third = cascade.members
    members = (
        replace(first, service_curve=ServiceCurve(0.001, 0.25)),
        replace(second, format="tensorrt", precision="int8"),
        replace(third, precision="fp16", service_curve=ServiceCurve(2.0, 0.0)),
    )
    return replace(cascade, members=members, runtime=Runtime(4, 1, True, 32))


def test_what_was_measured_reads_back_as_written(tmp_path: Path) -> None:
    file = tmp_path / "m.cascade.json"
    write_cascade(file, measured())
    assert read_cascade(file) == measured()
    document = json.loads(file.read_text())
    assert document["runtime"] == {
        "num_workers": 4,
        "num_threads": 1,
        "is_spinning": True,
        "max_batch_rows": 32,
    }
    assert document["members"][0]["service_curve"] == {"per_row_s": 0.001, "per_batch_s": 0.25}
    assert [(member["format"], member["precision"]) for member in document["members"]] == [
        ("onnx", "fp32"),
        ("tensorrt", "int8"),
        ("onnx", "fp16"),
    ]
    assert "service_curve" not in document["members"][1]


def test_files_of_before_formats_and_measurements_are_read() -> None:
    document = cascade_to_json(example())
    assert "runtime" not in document
    for member in document["members"]:
        del member["format"], member["precision"]
        assert "service_curve" not in member
    assert cascade_from_json(document, "here") == example()


def test_a_plan_lies_beside_where_a_graph_would() -> None:
    assert [member.file for member in measured().members] == [
        "m-0/1/model.onnx",
        "m-1/1/model.plan",
        "m-2/1/model.onnx",
    ]


def test_a_batch_takes_its_share_and_that_of_its_rows() -> None:
    assert ServiceCurve(0.5, 2.0).seconds(3) == 3.5


def test_a_policy_alone_reads_back_as_written(tmp_path: Path) -> None:
    for policy in (FULL_POLICY, THRESHOLD):
        written = PolicyFile((("m-0",), ("m-1",), ("m-2",)), policy)
        write_policy_file(tmp_path / "p.json", written)
        assert read_policy_file(tmp_path / "p.json") == written


def test_stage_costs_and_member_files() -> None:
    cascade = example()
    assert cascade.stage_macs == (10.0, 20.0, 30.0)
    assert cascade.members_through(1) == ("m-0", "m-1")
    assert cascade.member("m-1").file == "m-1/1/model.onnx"


def test_another_policy_makes_the_next_version() -> None:
    first = Policy(kind="first", num_stages=3)
    cascade = example().with_policy("cheap", first, is_default=True)
    assert (cascade.version, cascade.default_policy, cascade.policies["cheap"]) == (5, "cheap", first)
    assert example().with_policy("cheap", first).default_policy == "window"


def geared() -> Cascade:
    return example().with_gears(["window", "threshold"])


def test_gears_make_the_next_version_and_read_back_as_written(tmp_path: Path) -> None:
    assert (geared().version, geared().gears) == (5, ("window", "threshold"))
    write_cascade(tmp_path / "m.cascade.json", geared())
    assert read_cascade(tmp_path / "m.cascade.json") == geared()
    assert geared().with_gears([]).gears == ()
    assert "gears" not in cascade_to_json(example())


@pytest.mark.parametrize(
    ("gears", "message"),
    [
        (["window", "cheap"], "gear 'cheap' is no policy of this cascade"),
        (["window"], "gears are two policies or more, each once"),
        (["window", "threshold", "window"], "gears are two policies or more, each once"),
        (["threshold", "window"], "gears begin with the default policy, 'window', not with 'threshold'"),
    ],
)
def test_gears_that_cannot_be_are_refused(gears: list[str], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        example().with_gears(gears)


def test_gears_go_from_the_dearest_to_the_cheapest() -> None:
    dear = replace(FULL_POLICY, evidence={"cost": 1.3})
    cascade = example().with_policy("dear", dear)
    with pytest.raises(FormatError, match=r"'dear' costs 1\.3x stage 1, 'window' before it 1\.29x"):
        cascade.with_gears(["window", "dear"])
    unknown = cascade.with_gears(["window", "threshold"])  # nobody measured what the second costs
    assert unknown.gears == ("window", "threshold")


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        target: Any = document
        for key in parents:
            target = target[int(key) if isinstance(target, list) else key]
        if value is ...:
            del target[last]
        else:
            target[int(last) if isinstance(target, list) else last] = value

    return change


BROKEN = {
    "format_version 2 is unknown; this reads 1": _set("format_version", 2),
    "'format_version' is missing": _set("format_version", ...),
    "'stages' is missing": _set("stages", ...),
    "unknown keys: surprise": _set("surprise", 1),
    "'version' is a string": _set("version", "4"),
    "'version' is a boolean": _set("version", True),
    "every stage needs members": _set("stages", [["m-0"], [], ["m-1"]]),
    "no member may stand twice": _set("stages", [["m-0"], ["m-0"]]),
    "stages hold .* and the members are": _set("stages/2", ["m-9"]),
    "name '../m' is not 1 to 128": _set("name", "../m"),
    "datatype 'FLOAT' is unknown": _set("inputs/0/datatype", "FLOAT"),
    r"shape \[1, 8\] must begin with -1": _set("inputs/0/shape", [1, 8]),
    "must hold whole numbers": _set("inputs/0/shape", [-1, 8.5]),
    "needs macs above 0": _set("members/0/macs", 0),
    "not JSON .Infinity is no number": _set("members/0/macs", math.inf),
    "version 0 must be 1 or more": _set("version", 0),
    "classes hold a name twice": _set("classes", ["cat", "cat"]),
    "at least 1 input and 2 classes": _set("classes", ["cat"]),
    "output_kind 'magic'": _set("members/0/output_kind", "magic"),
    r"maps inputs \['y'\], not \['x'\]": _set("members/0/inputs", {"y": "x"}),
    "default_policy 'gone' is no policy": _set("default_policy", "gone"),
    "fitted on another 'm-0'": _set("members/0/sha256", "ff"),
    "fitted on member 'm-7', which is not here": _set("policies/window/members", {"m-7": None}),
    "policy 'window': unknown kind of policy 'guess'": _set("policies/window/kind", "guess"),
    "windows has 1 entries where 2 belong": _set("policies/window/windows", [None]),
    "ends before it begins": _set("policies/window/windows/0", [0.5, 0.1]),
    r"a window is \[lo, hi\] or null": _set("policies/window/windows/0", [0.5]),
    "accept_above: expected a finite number, got a string": _set("policies/window/accept_above/0", "all"),
    "never decrease": _set("policies/window/calibrators/0/scores", [0.9, 0.1]),
    "needs .* weights per stage": _set("policies/window/weights", [[1], [1], [1]]),
    "a tie needs a finite score": _set("policies/window/ties/0/0/share", 2),
    "a placement needs a share": _set("policies/window/placements/0/share", -1),
    "subset: unknown keys: colour": _set("policies/window/subsets/0/colour", "red"),
    "unknown keys: colour": _set("policies/window/colour", "red"),
}


BROKEN_MEASUREMENTS = {
    "members: member 'm-0': format 'pickle' is none of onnx, tensorrt": _set("members/0/format", "pickle"),
    "members: 'format' is null, which does not belong there": _set("members/0/format", None),
    "members: member 'm-2': precision 'fp8' is none of fp32, fp16, int8": _set("members/2/precision", "fp8"),
    "members: 'precision' is a whole number": _set("members/2/precision", 16),
    "members: 'service_curve' is a list": _set("members/0/service_curve", [0.001, 0.25]),
    "service_curve: 'per_row_s' is missing": _set("members/0/service_curve/per_row_s", ...),
    "service_curve: 'per_batch_s' is a string": _set("members/0/service_curve/per_batch_s", "1"),
    "service_curve: 'per_batch_s' is a boolean": _set("members/0/service_curve/per_batch_s", True),
    "service_curve: per_row_s 0 must be above 0": _set("members/0/service_curve/per_row_s", 0),
    "service_curve: per_row_s .* per_batch_s -1 not below": _set("members/0/service_curve/per_batch_s", -1),
    "service_curve: unknown keys: per_day_s": _set("members/0/service_curve/per_day_s", 1),
    "'runtime' is a list": _set("runtime", []),
    "runtime: 'num_threads' is missing": _set("runtime/num_threads", ...),
    "runtime: 'num_workers' is a boolean": _set("runtime/num_workers", True),
    "runtime: 'num_workers' is the number 1.5": _set("runtime/num_workers", 1.5),
    "runtime: 'is_spinning' is a whole number": _set("runtime/is_spinning", 1),
    "runtime: num_threads must be 1 or more, got 0": _set("runtime/num_threads", 0),
    "runtime: num_workers must be 1 or more, got -2": _set("runtime/num_workers", -2),
    "runtime: max_batch_rows must be 1 or more, got 0": _set("runtime/max_batch_rows", 0),
    "runtime: unknown keys: colour": _set("runtime/colour", "red"),
}


@pytest.mark.parametrize("message", BROKEN_MEASUREMENTS)
def test_a_broken_measurement_is_refused_by_name(message: str) -> None:
    document = cascade_to_json(measured())
    BROKEN_MEASUREMENTS[message](document)
    with pytest.raises(FormatError, match=f"^here: (members: )?{message}"):
        cascade_from_json(document, "here")


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_file_is_refused_by_name(message: str, tmp_path: Path) -> None:
    document = cascade_to_json(example())
    BROKEN[message](document)
    file = tmp_path / "m.cascade.json"
    file.write_text(json.dumps(document))
    with pytest.raises(FormatError, match=message) as caught:
        read_cascade(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"text"', "[" * 100_000, "\udcff"])
def test_what_is_no_cascade_file_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "m.cascade.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(FormatError, match=r"m\.cascade\.json"):
        read_cascade(file)


def test_a_renamed_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.cascade.json"
    write_cascade(file, example())
    with pytest.raises(FormatError, match=r"holds 'm', so it must be called m\.cascade\.json"):
        read_cascade(file)


def test_scores_of_logits_need_members_that_give_them() -> None:
    document = cascade_to_json(example())
    document["members"][1]["output_kind"] = "probabilities"
    document["policies"]["window"]["score"] = "energy"
    with pytest.raises(CascadeError, match="member 'm-1': score 'energy' needs logits, and there"):
        cascade_from_json(document, "here")


def test_a_score_of_a_class_that_is_not_there_is_refused() -> None:
    document = cascade_to_json(example())
    document["policies"]["window"]["score"] = "class=99"
    with pytest.raises(CascadeError, match="score 'class=99': the classes are 0 to"):
        cascade_from_json(document, "here")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "m.cascade.json"
    write_cascade(file, example())
    before = file.read_bytes()
    unwritable = Cascade(**{**vars(example()), "provenance": {"now": math.nan}})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_cascade(file, unwritable)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
