from dataclasses import replace
from pathlib import Path

import pytest

from training.compare.config import OWN, comparison
from training.compare.results import Arm
from training.data.config import DatasetConfig
from training.errors import ConfigError
from training.selection.config import SelectionConfig

GIVEN = {"dataset": {"name": "digits"}, "model": "resnet8", "selections": ["none", "hard-batch"]}


def names(config):
    return [config.arm(selection, OWN).name for selection in config.selections]


def test_every_selection_is_compared_at_every_delta_and_none_once():
    config = comparison({**GIVEN, "selections": ["none", "hard-batch", "top-k"], "deltas": [0.25, 0.5]})
    assert names(config) == ["none", "hard-batch 0.25", "hard-batch 0.5", "top-k 0.25", "top-k 0.5"]


def test_a_selection_may_have_a_delta_of_its_own():
    config = comparison({**GIVEN, "selections": ["hard-batch:0.2", "top-k"], "deltas": [0.4]})
    assert names(config) == ["hard-batch 0.2", "top-k 0.4"]


def test_what_is_not_given_is_usual():
    config = comparison(GIVEN)
    assert (config.num_seeds, config.labels, config.target_accuracy, config.earlier) == (
        3,
        (OWN,),
        None,
        None,
    )
    assert names(config) == ["none", "hard-batch 0.5"]
    assert config.dataset == DatasetConfig(name="digits", difficulty=0.75, copies=8)
    assert config.base.augmentation == "none"


def test_options_of_a_selection_hold_for_all_but_none():
    given = {**GIVEN, "training": {"epochs": 2, "selection": {"full_every": 3}}}
    first, second = comparison(given).selections
    assert first == SelectionConfig.usual("none")
    assert second == SelectionConfig.usual("hard-batch", full_every=3)


def test_the_arms_share_everything_but_the_selection():
    config = comparison({**GIVEN, "training": {"epochs": 2, "optimizer": {"lr": 0.3}}})
    first, second = (config.training(selection) for selection in config.selections)
    assert (first.epochs, first.optimizer.lr) == (2, 0.3)
    assert replace(first, selection=second.selection) == second
    assert second.selection == config.selections[1]


def test_what_is_shared_leaves_out_what_may_be_added_later_and_where_data_lie():
    shared = comparison(GIVEN).shared_settings
    assert shared["model"] == "resnet8"
    assert "selection" not in shared["training"]
    assert not {"data_root", "download", "train_labels"} & shared["dataset"].keys()
    more = comparison({**GIVEN, "selections": ["none", "top-k"], "deltas": [0.1], "seeds": 9})
    assert more.shared_settings == shared
    assert comparison({**GIVEN, "model": "resnet14"}).shared_settings != shared


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            "labels.npz",
            {OWN: (None, None), "clean": ("labels.npz", "clean"), "worse": ("labels.npz", "worse")},
        ),
        ("labels.npy", {OWN: (None, None), "noisy": ("labels.npy", None)}),
    ],
)
def test_label_sets_are_arrays_of_the_file(file, expected):
    given = {**GIVEN, "dataset": {"name": "digits", "train_labels": Path(file)}, "labels": list(expected)}
    config = comparison(given)
    found = {labels: config.dataset_with(labels) for labels in config.labels}
    assert {
        labels: (dataset.train_labels and str(dataset.train_labels), dataset.train_labels_key)
        for labels, dataset in found.items()
    } == expected
    assert config.arm(config.selections[1], OWN) == Arm(selection="hard-batch", delta=0.5)
    second = list(expected)[1]
    assert config.arm(config.selections[1], second) == Arm(selection="hard-batch", delta=0.5, labels=second)


BAD = [
    ({"model": None}, "no model is named: --model NAME or a --recipe that names one"),
    ({"seeds": 0}, "seeds must be 1 or more, got 0"),
    ({"selections": []}, "no selection is named: --selections none,hard-batch,..."),
    ({"selections": ["hard"]}, "no selection 'hard': there is none, hard-batch"),
    ({"selections": ["hard-batch:x"]}, "delta must be a number, got 'x'"),
    ({"selections": ["none", "none"]}, "a selection is named twice at the same delta: none, none"),
    (
        {"selections": ["hard-batch", "hard-batch:0.5"]},
        "a selection is named twice at the same delta: hard-batch, hard-batch:0.5",
    ),
    ({"deltas": [0.5, None]}, "deltas must be numbers parted by commas, got an empty one"),
    ({"deltas": [1.5]}, "delta must be in (0, 1], got 1.5"),
    ({"target_accuracy": 1.0}, "target_accuracy must lie between 0 and 1, got 1.0"),
    ({"labels": ["own", "noisy"]}, "labels own, noisy: --train-labels says in which file they are"),
    ({"selections": ["cascade-aware"]}, "selection cascade-aware needs members before it: --earlier RUN"),
    ({"dataset": {"name": "mnist"}}, "no dataset 'mnist': there is digits"),
    ({"training": {"epochs": 0}}, "epochs must be 1 or more, got 0"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_what_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ConfigError) as error:
        comparison({key: value for key, value in {**GIVEN, **changes}.items() if value is not None})
    assert str(error.value).startswith(message)
