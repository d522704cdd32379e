import math

import pytest

from training.errors import ConfigError
from training.selection.config import SelectionConfig
from training.selection.registry import SELECTIONS

NAMES = (
    "none",
    "hard-batch",
    "random-batch",
    "least-recent",
    "infobatch",
    "top-k",
    "selective-backprop",
    "cascade-aware",
)


def test_all_selections():
    assert tuple(SELECTIONS) == NAMES
    assert [name for name in NAMES if SELECTIONS[name].is_weighted] == ["infobatch"]
    assert [name for name in NAMES if SELECTIONS[name].needs_earlier] == ["cascade-aware"]
    assert [name for name in NAMES if not SELECTIONS[name].is_by_round] == ["top-k", "selective-backprop"]


def test_nothing_said_is_ordinary_training():
    assert SelectionConfig() == SelectionConfig.usual("none")


@pytest.mark.parametrize(
    ("name", "delta", "unit", "reshuffle_every", "finish"),
    [
        ("none", 1.0, "batch", 1, 0.0),
        ("hard-batch", 0.5, "batch", 0, 0.0),
        ("random-batch", 0.5, "batch", 0, 0.0),
        ("least-recent", 0.5, "batch", 0, 0.0),
        ("infobatch", 0.5, "row", 0, 0.125),
        ("top-k", 0.5, "row", 0, 0.0),
        ("selective-backprop", 0.5, "row", 0, 0.0),
        ("cascade-aware", 0.5, "row", 0, 0.0),
    ],
)
def test_what_is_usual(name, delta, unit, reshuffle_every, finish):
    assert SelectionConfig.usual(name) == SelectionConfig(
        name=name,
        delta=delta,
        unit=unit,
        reshuffle_every=reshuffle_every,
        full_every=0,
        finish=finish,
        keep_order=False,
    )


def test_what_is_given_goes_before_what_is_usual():
    given = {"delta": 0.3, "reshuffle_every": 4, "full_every": 5, "finish": 0.2, "keep_order": True}
    config = SelectionConfig.usual("hard-batch", **given)
    assert {name: getattr(config, name) for name in given} == given
    assert SelectionConfig.usual("infobatch", finish=0.0).finish == 0.0


@pytest.mark.parametrize("name", ["hard-batch", "random-batch", "least-recent"])
def test_batches_or_rows(name):
    assert SelectionConfig.usual(name, unit="row").reshuffle_every == 0


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("none", {"delta": 0.5}, "delta 0.5 has no meaning with selection none"),
        ("none", {"full_every": 2}, "full_every 2 has no meaning with selection none"),
        ("none", {"finish": 0.1}, "finish 0.1 has no meaning with selection none"),
        ("none", {"unit": "row"}, "unit row has no meaning with selection none"),
        ("infobatch", {"unit": "batch"}, "unit batch has no meaning with selection infobatch"),
        ("top-k", {"unit": "batch"}, "unit batch has no meaning with selection top-k"),
        (
            "selective-backprop",
            {"unit": "batch"},
            "unit batch has no meaning with selection selective-backprop",
        ),
        ("cascade-aware", {"unit": "batch"}, "unit batch has no meaning with selection cascade-aware"),
        ("top-k", {"full_every": 3}, "full_every 3 has no meaning with selection top-k"),
        (
            "selective-backprop",
            {"full_every": 3},
            "full_every 3 has no meaning with selection selective-backprop",
        ),
        (
            "hard-batch",
            {"unit": "row", "reshuffle_every": 3},
            "reshuffle_every 3 has no meaning with unit row of selection hard-batch",
        ),
        (
            "random-batch",
            {"unit": "row", "keep_order": True},
            "keep_order True has no meaning with unit row of selection random-batch",
        ),
        (
            "infobatch",
            {"reshuffle_every": 2},
            "reshuffle_every 2 has no meaning with unit row of selection infobatch",
        ),
        (
            "top-k",
            {"keep_order": True},
            "keep_order True has no meaning with unit row of selection top-k",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(name, given, message):
    with pytest.raises(ConfigError) as caught:
        SelectionConfig.usual(name, **given)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"delta": 0.0}, "delta must be in (0, 1], got 0.0"),
        ({"delta": -0.5}, "delta must be in (0, 1], got -0.5"),
        ({"delta": 1.0001}, "delta must be in (0, 1], got 1.0001"),
        ({"delta": math.nan}, "delta must be in (0, 1], got nan"),
        ({"finish": 1.0}, "finish must be in [0, 1), got 1.0"),
        ({"finish": -0.1}, "finish must be in [0, 1), got -0.1"),
        ({"finish": math.nan}, "finish must be in [0, 1), got nan"),
        ({"reshuffle_every": -1}, "reshuffle_every must be 0 or more, got -1"),
        ({"full_every": -1}, "full_every must be 0 or more, got -1"),
        ({"unit": "class"}, "no unit 'class': there is batch, row"),
    ],
)
def test_values_out_of_range_are_refused(given, message):
    with pytest.raises(ConfigError) as caught:
        SelectionConfig.usual("hard-batch", **given)
    assert str(caught.value) == message


@pytest.mark.parametrize("delta", [1e-9, 1.0])
def test_the_ends_of_delta(delta):
    assert SelectionConfig.usual("hard-batch", delta=delta).delta == delta


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(ConfigError) as caught:
        SelectionConfig.usual("hard")
    assert str(caught.value) == f"no selection 'hard': there is {', '.join(NAMES)}"
