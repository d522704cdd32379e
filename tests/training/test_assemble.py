"""What recipes, options and data sets say becomes the settings of each member."""

import pytest

from training.assemble import assemble, training_config
from training.budget import Budget
from training.config import TrainingConfig
from training.errors import ConfigError
from training.selection.config import SelectionConfig

RECIPE = """
models = ["resnet8"]
members = 3

[training]
epochs = 7
batch_size = 16
augmentation = "shift"
channels_last = true

[training.optimizer]
lr = 0.5
nesterov = true
momentum = 0.75
weight_decay = 0.125

[training.schedule]
warmup = 0.25

[training.selection]
name = "hard-batch"
delta = 0.25
full_every = 5
"""


DIGITS = {"dataset": {"name": "digits"}, "models": ["resnet8"]}


def trainings(**given):
    return [member.training for member in assemble({**DIGITS, **given}).members]


def models(**given):
    return [member.model for member in assemble({"dataset": {"name": "digits"}, **given}).members]


@pytest.fixture
def over_recipe(tmp_path):
    """Trainings of a recipe with these settings over it."""
    path = tmp_path / "own.toml"
    path.write_text(RECIPE, encoding="utf-8")

    def made(**given):
        config = assemble({"dataset": {"name": "digits"}, "recipe": str(path), **given})
        return [member.training for member in config.members]

    return made


def test_nothing_said_is_the_default():
    config = assemble(DIGITS)
    assert config.seed == 0
    assert [(member.model, member.training) for member in config.members] == [("resnet8", TrainingConfig())]
    assert (config.dataset.difficulty, config.dataset.copies) == (0.75, 8)


def test_what_is_said_of_the_data_set_goes_before_its_defaults(tmp_path):
    given = {"name": "digits", "difficulty": 0.0, "split_seed": 4}
    config = assemble({"dataset": given, "models": ["resnet8"], "seed": 9})
    dataset = config.dataset
    assert (dataset.difficulty, dataset.copies, dataset.split_seed, config.seed) == (0.0, 8, 4, 9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("digits", "none"), ("cifar10", "standard"), ("cifar100", "standard"), ("stl10", "standard")],
)
def test_the_usual_augmentation_is_that_of_the_data_set(tmp_path, name, expected):
    dataset = {"name": name} | ({} if name == "digits" else {"data_root": tmp_path})
    (training,) = trainings(dataset=dataset)
    assert training.augmentation == expected
    assert training_config({}, name).augmentation == expected
    (training,) = trainings(dataset=dataset, augmentation=["resized-crop"])
    assert training.augmentation == "resized-crop"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"models": ["a", "b"]}, ["a", "b"]),
        ({"models": ["a"], "members": 3}, ["a", "a", "a"]),
        ({"models": ["a", "b"], "members": 2}, ["a", "b"]),
        ({"models": ["a"], "members": 1}, ["a"]),
        ({"recipe": "small-cpu"}, ["resnet8"] * 3),
        ({"recipe": "modern-sgd"}, ["small:resnet18"] * 3),
        ({"recipe": "modern-sgd", "members": 2}, ["small:resnet18"] * 2),
        # The recipe's number is one of its own model.
        ({"recipe": "modern-sgd", "models": ["a"]}, ["a"]),
        ({"recipe": "modern-sgd", "models": ["a", "b"]}, ["a", "b"]),
        ({"recipe": "modern-sgd", "models": ["a"], "members": 4}, ["a"] * 4),
    ],
)
def test_how_many_members(given, expected):
    assert models(**given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no model is named: --models A,B,... or a --recipe that names some"),
        ({"members": 2}, "no model is named: --models A,B,... or a --recipe that names some"),
        ({"models": ["a", "b"], "members": 3}, "members 3 does not go with the 2 models a,b"),
        ({"models": ["a", "b"], "members": 4}, "members 4 does not go with the 2 models a,b"),
        ({"models": ["a"], "members": 0}, "members must be 1 or more, got 0"),
        ({"models": ["a", ""]}, "models must be names parted by commas, got an empty one"),
        ({"models": ["a"], "seed": -1}, "seed must be 0 or more, got -1"),
        (
            {"models": ["a", "b"], "selection": ["none"] * 3},
            "selection takes one value, or one for each of 2 members, got 3",
        ),
        (
            {"models": ["a", "b", "c"], "delta": [0.1, 0.2]},
            "delta takes one value, or one for each of 3 members, got 2",
        ),
        (
            {"models": ["a"], "augmentation": ["none", "shift"]},
            "augmentation takes one value, or one for each of 1 members, got 2",
        ),
        ({"models": ["a"], "augmentation": ["heavy"]}, "no augmentation 'heavy': there is none, shift, "),
        ({"models": ["a"], "delta": [0.5]}, "delta 0.5 has no meaning with selection none"),
        (
            {"models": ["a"], "selection": ["cascade-aware"]},
            "selection cascade-aware needs members before it",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(given, message):
    with pytest.raises(ConfigError) as caught:
        models(**given)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("given", [{}, {"dataset": {"copies": 3}}])
def test_a_data_set_must_be_named(given):
    with pytest.raises(ConfigError, match="no data set is named: --dataset NAME"):
        assemble({"models": ["resnet8"], **given})


def test_one_value_is_for_all_members():
    both = trainings(members=2, selection=["hard-batch"], delta=[0.25], augmentation=["shift"])
    assert [(t.selection.name, t.selection.delta, t.augmentation) for t in both] == [
        ("hard-batch", 0.25, "shift")
    ] * 2


def test_values_of_a_list_are_one_a_member_and_an_empty_delta_is_the_usual_one():
    """As `--selection none,hard-batch,infobatch --delta ,0.3, --augmentation none,shift,standard`."""
    config = trainings(
        members=3,
        selection=["none", "hard-batch", "infobatch"],
        delta=[None, 0.3, None],
        augmentation=["none", "shift", "standard"],
    )
    assert [training.selection for training in config] == [
        SelectionConfig.usual("none"),
        SelectionConfig.usual("hard-batch", delta=0.3),
        SelectionConfig.usual("infobatch"),
    ]
    assert [training.augmentation for training in config] == ["none", "shift", "standard"]


def test_options_of_a_selection_are_for_all_members():
    given = {"selection": {"full_every": 3}}
    both = trainings(members=2, training=given, selection=["hard-batch", "least-recent"])
    assert [(t.selection.name, t.selection.full_every) for t in both] == [
        ("hard-batch", 3),
        ("least-recent", 3),
    ]


def test_a_recipe_is_the_ground(over_recipe):
    first, *others = over_recipe()
    assert others == [first, first]
    assert (first.epochs, first.batch_size, first.augmentation, first.channels_last) == (7, 16, "shift", True)
    assert (first.optimizer.lr, first.optimizer.momentum, first.optimizer.nesterov) == (0.5, 0.75, True)
    assert first.schedule.warmup == 0.25
    assert first.selection == SelectionConfig.usual("hard-batch", delta=0.25, full_every=5)


def test_an_option_goes_before_the_recipe_where_it_equals_the_default_too(over_recipe):
    usual = TrainingConfig()
    (training,) = over_recipe(
        models=["resnet8"],
        augmentation=["none"],
        training={
            "epochs": usual.epochs,
            "batch_size": usual.batch_size,
            "channels_last": False,
            "optimizer": {"lr": 0.01, "nesterov": False, "momentum": 0.9, "weight_decay": 0.0},
            "schedule": {"warmup": 0.0},
            "selection": {"full_every": 0},
        },
        selection=["none"],
        delta=[1.0],
    )
    assert training == usual


def test_options_leave_the_rest_of_a_recipes_table(over_recipe):
    training, *_ = over_recipe(training={"optimizer": {"lr": 2.0}}, delta=[0.75])
    assert (training.optimizer.lr, training.optimizer.weight_decay) == (2.0, 0.125)
    assert (training.selection.delta, training.selection.full_every) == (0.75, 5)


def test_options_go_before_a_recipes_tables_of_members(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        '[[member]]\nmodel = "a"\nepochs = 3\noptimizer = { lr = 0.5 }\naugmentation = "shift"\n'
        '[[member]]\nmodel = "b"\nselection = { name = "hard-batch", delta = 0.25 }\n',
        encoding="utf-8",
    )
    config = assemble(
        {
            "dataset": {"name": "digits"},
            "recipe": str(path),
            "models": ["c", "d"],
            "training": {"epochs": 5, "optimizer": {"lr": 0.125}},
            "augmentation": ["none"],
            "delta": [None, 0.75],
        }
    )
    first, second = config.members
    assert (first.model, second.model) == ("c", "d")
    assert (first.training.epochs, second.training.epochs) == (5, 5)
    assert (first.training.optimizer.lr, second.training.optimizer.lr) == (0.125, 0.125)
    assert first.training.augmentation == "none"
    assert second.training.selection == SelectionConfig.usual("hard-batch", delta=0.75)


def test_another_selection_keeps_the_recipes_delta(over_recipe):
    """So that a control is one: the same share, otherwise chosen."""
    training, *_ = over_recipe(selection=["random-batch"])
    assert training.selection == SelectionConfig.usual("random-batch", delta=0.25, full_every=5)


def test_selection_none_leaves_a_recipes_selection_behind(over_recipe):
    first, second, third = over_recipe(selection=["none", "hard-batch", "none"])
    assert first.selection == third.selection == SelectionConfig()
    assert second.selection.delta == 0.25


def test_but_not_what_is_given_with_it(over_recipe):
    with pytest.raises(ConfigError, match=r"delta 0\.5 has no meaning with selection none"):
        over_recipe(selection=["none"], delta=[0.5])
    with pytest.raises(ConfigError, match="full_every 2 has no meaning with selection none"):
        over_recipe(selection=["none"], training={"selection": {"full_every": 2}})


def test_adamw_leaves_a_recipes_momentum_behind(over_recipe):
    training, *_ = over_recipe(training={"optimizer": {"name": "adamw"}})
    optimizer = training.optimizer
    assert (optimizer.name, optimizer.nesterov, optimizer.lr, optimizer.weight_decay) == (
        "adamw",
        False,
        0.5,
        0.125,
    )
    with pytest.raises(ConfigError, match=r"momentum 0\.9 has no meaning with optimizer adamw"):
        over_recipe(training={"optimizer": {"name": "adamw", "momentum": 0.9}})


def test_a_budget_goes_before_a_recipes_epochs_and_epochs_before_its_budget(over_recipe, tmp_path):
    budget = Budget(unit="updates", amount=9)
    training, *_ = over_recipe(training={"budget": budget})
    assert training.budget_for(100) == budget
    path = tmp_path / "budget.toml"
    path.write_text('[training]\nbudget = { unit = "seconds", amount = 5 }\n', encoding="utf-8")
    (training,) = trainings(recipe=str(path))
    assert training.budget_for(100) == Budget(unit="seconds", amount=5)
    (training,) = trainings(recipe=str(path), training={"budget": budget})
    assert training.budget_for(100) == budget
    (training,) = trainings(recipe=str(path), training={"epochs": 3})
    assert training.budget_for(100) == Budget(unit="updates", amount=300)


def test_epochs_and_a_budget_are_not_both_given():
    given = {"epochs": 3, "budget": Budget(unit="updates", amount=9)}
    with pytest.raises(ConfigError, match="epochs 3 has no meaning with budget 9updates"):
        trainings(training=given)


def test_settings_can_be_recorded_and_compared():
    settings = assemble({**DIGITS, "selection": ["hard-batch"]}).settings
    assert settings["members"][0]["training"]["selection"]["delta"] == 0.5
    assert "data_root" not in settings["dataset"]


def test_one_delta_is_for_the_members_that_take_one():
    given = {"dataset": {"name": "digits"}, "models": ["resnet8", "resnet8"], "delta": [0.3]}
    config = assemble(given | {"selection": ["none", "hard-batch"]})
    assert [member.training.selection.delta for member in config.members] == [1.0, 0.3]
    with pytest.raises(ConfigError, match=r"delta 0\.3 has no meaning with selection none"):
        assemble(given | {"selection": ["none"]})
