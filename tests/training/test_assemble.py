from argparse import Namespace
from functools import reduce
from pathlib import Path

import pytest

from training.assemble import assemble, training_config
from training.budget import Budget
from training.cli import parse_config
from training.config import DEVICES, OPTIMIZERS, PRECISIONS, TrainingConfig
from training.data.config import AUGMENTATIONS, DATASETS
from training.errors import ConfigError
from training.options import nested
from training.recipes import recipe_names
from training.schedule import SCHEDULES
from training.selection.config import SelectionConfig
from training.selection.registry import SELECTIONS, UNITS

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


# Options, as they come from the command line.


@pytest.fixture
def help_text(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        parse_config(["--help"])
    return " ".join(capsys.readouterr().out.split())


def config_of(text):
    return parse_config(["--out", "run", "--dataset", "digits", "--models", "resnet8", *text.split()])


def setting(text, path):
    """The value at a path below the settings of the only member, or of the data set."""
    config = config_of(text)
    table, *names = path.split(".")
    return reduce(getattr, names, config.dataset if table == "dataset" else config.members[0].training)


def test_options_become_tables_within_tables():
    options = Namespace(
        **{"seed": 3, "training.optimizer.lr": 0.1, "training.epochs": 2, "dataset.name": "a"}
    )
    assert nested(options) == {
        "seed": 3,
        "training": {"optimizer": {"lr": 0.1}, "epochs": 2},
        "dataset": {"name": "a"},
    }
    assert nested(Namespace()) == {}


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("--difficulty 0.25", "dataset.difficulty", 0.25),
        ("--copies 2", "dataset.copies", 2),
        ("--split-seed 5", "dataset.split_seed", 5),
        ("--max-train-rows 64", "dataset.max_train_rows", 64),
        ("--train-labels a.npz", "dataset.train_labels", Path("a.npz")),
        ("--train-labels a.npz --train-labels-key worse", "dataset.train_labels_key", "worse"),
        ("--epochs 3", "training.epochs", 3),
        ("--budget 90seconds", "training.budget", Budget(unit="seconds", amount=90)),
        ("--batch-size 8", "training.batch_size", 8),
        ("--label-smoothing 0.1", "training.label_smoothing", 0.1),
        ("--precision bf16", "training.precision", "bf16"),
        ("--channels-last", "training.channels_last", True),
        ("--no-channels-last", "training.channels_last", False),
        ("--device cpu", "training.device", "cpu"),
        ("--threads 2", "training.threads", 2),
        ("--augmentation shift", "training.augmentation", "shift"),
        ("--optimizer adamw", "training.optimizer.name", "adamw"),
        ("--lr 0.5", "training.optimizer.lr", 0.5),
        ("--weight-decay 0.1", "training.optimizer.weight_decay", 0.1),
        ("--no-decay-norms", "training.optimizer.decay_norms", False),
        ("--momentum 0.5", "training.optimizer.momentum", 0.5),
        ("--nesterov", "training.optimizer.nesterov", True),
        ("--schedule constant", "training.schedule.name", "constant"),
        ("--warmup 0.2", "training.schedule.warmup", 0.2),
        ("--selection top-k", "training.selection.name", "top-k"),
        ("--selection top-k --delta 0.3", "training.selection.delta", 0.3),
        ("--selection hard-batch --select-unit row", "training.selection.unit", "row"),
        ("--selection hard-batch --reshuffle-every 4", "training.selection.reshuffle_every", 4),
        ("--reshuffle-every 0", "training.selection.reshuffle_every", 0),
        ("--selection hard-batch --full-every 4", "training.selection.full_every", 4),
        ("--selection hard-batch --finish 0.2", "training.selection.finish", 0.2),
        ("--selection hard-batch --keep-order", "training.selection.keep_order", True),
    ],
)
def test_each_option_lands_under_its_path(text, path, expected):
    assert setting(text, path) == expected


def test_options_of_files_land_under_their_path(tmp_path):
    text = f"--out run --models resnet8 --dataset folder --data-root {tmp_path} --image-size 8X12 --skip-bad"
    dataset = parse_config(text.split()).dataset
    assert (dataset.data_root, dataset.image_size, dataset.skip_bad) == (tmp_path, (8, 12), True)
    text = f"--out run --models resnet8 --dataset cifar10 --data-root {tmp_path / 'new'} --download"
    assert parse_config(text.split()).dataset.download


def test_lists_are_parted_by_commas():
    text = "--out run --dataset digits --models resnet8,resnet14 --selection none,hard-batch --delta ,0.3"
    config = parse_config([*text.split(), "--augmentation", "none, shift", "--seed", "4"])
    assert [member.model for member in config.members] == ["resnet8", "resnet14"]
    assert [member.training.selection for member in config.members] == [
        SelectionConfig.usual("none"),
        SelectionConfig.usual("hard-batch", delta=0.3),
    ]
    assert [member.training.augmentation for member in config.members] == ["none", "shift"]
    assert config.seed == 4


def test_what_is_not_given_is_left_to_the_recipe():
    text = "--out run --dataset digits --recipe small-cpu --augmentation none --members 2 --lr 0.25"
    config = parse_config(text.split())
    assert [member.model for member in config.members] == ["resnet8"] * 2
    training = config.members[0].training
    assert (training.epochs, training.optimizer.lr, training.optimizer.nesterov) == (8, 0.25, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--image-size 8x", "argument --image-size: '8x' is neither N nor HxW"),
        ("--image-size 1x2x3", "argument --image-size: '1x2x3' is neither N nor HxW"),
        ("--budget 9epochs", "budget '9epochs' is none of 5000updates, 1e6samples, 90seconds"),
        ("--epochs two", "argument --epochs: invalid int value: 'two'"),
        ("--epoch 3", "unrecognized arguments: --epoch 3"),
    ],
)
def test_options_that_are_none_are_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        config_of(text)
    assert str(caught.value) == message


def test_the_help_names_all_choices(help_text):
    choices = (
        DATASETS,
        AUGMENTATIONS,
        SELECTIONS,
        UNITS,
        OPTIMIZERS,
        SCHEDULES,
        PRECISIONS,
        DEVICES,
        recipe_names(),
    )
    for known in choices:
        assert " | ".join(known) in help_text
    for name, selection in SELECTIONS.items():
        assert f"{name}: {selection.about}" in help_text
    for unit in ("5000updates", "1e6samples", "90seconds"):
        assert unit in help_text


def test_the_help_names_defaults(help_text):
    usual = TrainingConfig()
    assert f"(default {usual.epochs})" in help_text
    assert f"default {usual.batch_size}" in help_text
    assert f"default {usual.optimizer.lr}" in help_text
    for name, defaults in DATASETS.items():
        assert f"{name}: {defaults.augmentation}" in help_text
        assert f"{name}: {defaults.copies}" in help_text


def test_one_delta_is_for_the_members_that_take_one():
    given = {"dataset": {"name": "digits"}, "models": ["resnet8", "resnet8"], "delta": [0.3]}
    config = assemble(given | {"selection": ["none", "hard-batch"]})
    assert [member.training.selection.delta for member in config.members] == [1.0, 0.3]
    with pytest.raises(ConfigError, match=r"delta 0\.3 has no meaning with selection none"):
        assemble(given | {"selection": ["none"]})
