import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from training.errors import ConfigError
from training.settings import build, check_keys, checked, differences, overlay


@dataclass(frozen=True, kw_only=True)
class Wheel:
    radius: float
    spokes: int = 36


@dataclass(frozen=True, kw_only=True)
class Bicycle:
    name: str = "none"
    has_light: bool = False
    front: Wheel = field(default_factory=lambda: Wheel(radius=0.3))
    spare: Wheel | None = None
    size: tuple[int, int] | None = None
    manual: Path | None = None


def test_tables_become_dataclasses():
    given = {
        "name": "red",
        "has_light": True,
        "front": {"radius": 0.35, "spokes": 20},
        "spare": {"radius": 0.2},
        "size": [3, 4],
        "manual": "a/b.txt",
    }
    assert build(Bicycle, given, "bicycle") == Bicycle(
        name="red",
        has_light=True,
        front=Wheel(radius=0.35, spokes=20),
        spare=Wheel(radius=0.2),
        size=(3, 4),
        manual=Path("a/b.txt"),
    )


def test_what_is_not_given_is_the_default():
    assert build(Bicycle, {}, "bicycle") == Bicycle()
    assert build(Bicycle, {"spare": None}, "bicycle") == Bicycle()


def test_a_dataclass_is_taken_as_it_is():
    wheel = Wheel(radius=1.0)
    assert build(Bicycle, {"front": wheel, "spare": wheel}, "bicycle") == Bicycle(front=wheel, spare=wheel)


def test_a_whole_number_is_a_float_too():
    radius = build(Wheel, {"radius": 2}, "wheel").radius
    assert (radius, type(radius)) == (2.0, float)


def test_nan_is_a_float_for_the_dataclass_to_judge():
    assert math.isnan(build(Wheel, {"radius": math.nan}, "wheel").radius)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"names": "red"},
            "bicycle: no setting 'names': there is name, has_light, front, spare, size, manual",
        ),
        ({"front": {"radius": 1.0, "hub": 1}}, "bicycle.front: no setting 'hub': there is radius, spokes"),
        ({"name": 3}, "bicycle.name must be str, got 3"),
        ({"name": None}, "bicycle.name must be str, got None"),
        ({"has_light": 1}, "bicycle.has_light must be bool, got 1"),
        ({"has_light": "yes"}, "bicycle.has_light must be bool, got 'yes'"),
        ({"front": {"radius": "0.3"}}, "bicycle.front.radius must be float, got '0.3'"),
        ({"front": {"radius": True}}, "bicycle.front.radius must be float, got True"),
        ({"front": {"radius": 1.0, "spokes": True}}, "bicycle.front.spokes must be int, got True"),
        ({"front": {"radius": 1.0, "spokes": 36.0}}, "bicycle.front.spokes must be int, got 36.0"),
        ({"front": {"spokes": 36}}, "bicycle.front.radius is missing"),
        ({"front": "round"}, "bicycle.front must be a table, got 'round'"),
        ({"front": [1, 2]}, "bicycle.front must be a table, got [1, 2]"),
        ({"spare": 3}, "bicycle.spare must be a table, got 3"),
        ({"size": 3}, "bicycle.size must be tuple, got 3"),
        ({"manual": 3}, "bicycle.manual must be Path, got 3"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_path(given, message):
    with pytest.raises(ConfigError) as caught:
        build(Bicycle, given, "bicycle")
    assert str(caught.value) == message


def test_checked_fills_nothing_in():
    assert checked(Bicycle, {"name": "red", "front": {"radius": 1}}, "bicycle") == {
        "name": "red",
        "front": Wheel(radius=1.0),
    }
    with pytest.raises(ConfigError, match="bicycle must be a table, got 'red'"):
        checked(Bicycle, "red", "bicycle")


def test_keys_are_checked():
    check_keys({"a": 1}, ("a", "b"), "here")
    with pytest.raises(ConfigError, match="here: no setting 'c': there is a, b"):
        check_keys({"a": 1, "c": 2}, ("a", "b"), "here")


@pytest.mark.parametrize(
    ("base", "above", "expected"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
        ({"t": {"a": 1, "b": 2}}, {"t": {"b": 3}}, {"t": {"a": 1, "b": 3}}),
        ({"t": {"u": {"a": 1, "b": 2}}}, {"t": {"u": {"a": 0}}}, {"t": {"u": {"a": 0, "b": 2}}}),
        ({"t": {"a": 1}}, {"t": 5}, {"t": 5}),
        ({"t": 5}, {"t": {"a": 1}}, {"t": {"a": 1}}),
        ({"t": [1, 2]}, {"t": [3]}, {"t": [3]}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({}, {}, {}),
    ],
)
def test_overlay(base, above, expected):
    assert overlay(base, above) == expected


def test_overlay_leaves_both_as_they_are():
    base, above = {"t": {"a": 1}}, {"t": {"b": 2}}
    overlay(base, above)["t"]["a"] = 9
    assert (base, above) == ({"t": {"a": 1}}, {"t": {"b": 2}})


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1, "t": {"b": [1, 2]}}, {"a": 1, "t": {"b": [1, 2]}}, []),
        ({"lr": 0.1, "n": 1}, {"lr": 0.2, "n": 1}, ["lr was 0.1 and is 0.2"]),
        (
            {"members": [{"optimizer": {"lr": 0.1}}, {"model": "a"}]},
            {"members": [{"optimizer": {"lr": 0.2}}, {"model": "b"}]},
            ["members[0].optimizer.lr was 0.1 and is 0.2", "members[1].model was 'a' and is 'b'"],
        ),
        ({"members": [1]}, {"members": [1, 2]}, ["members was [1] and is [1, 2]"]),
        ({"b": 1}, {"a": 2}, ["a was None and is 2", "b was 1 and is None"]),
        ({"t": {"a": 1}}, {"t": None}, ["t was {'a': 1} and is None"]),
        ({"a": 1}, {"a": "1"}, ["a was 1 and is '1'"]),
    ],
)
def test_differences(old, new, expected):
    assert differences(old, new) == expected
