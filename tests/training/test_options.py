"""Options, as they come from the command line."""

from argparse import Namespace
from functools import reduce
from pathlib import Path

import pytest

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
