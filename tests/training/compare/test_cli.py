from pathlib import Path

import pytest

from training.cli import main

GOOD = {"--dataset": "digits", "--model": "resnet8", "--selections": "none,hard-batch", "--out": "out"}

BAD_INPUT = [
    ({"--dataset": None}, "the following arguments are required: --dataset"),
    ({"--selections": None}, "the following arguments are required: --selections"),
    ({"--out": None}, "the following arguments are required: --out"),
    ({"--model": None}, "no model is named: --model NAME or a --recipe that names one"),
    ({"--model": "resnet9"}, "no model 'resnet9'; near it: "),
    ({"--model": "torchvision:resnet18"}, "torchvision's resnet18 takes 3 channels, the images have 1"),
    ({"--selections": "none,hard"}, "no selection 'hard': there is none, hard-batch"),
    ({"--selections": "cascade-aware"}, "selection cascade-aware needs members before it: --earlier RUN"),
    (
        {"--selections": "cascade-aware", "--earlier": "no"},
        "no/run.json can't be read: [Errno 2] No such file",
    ),
    ({"--deltas": "0.5,"}, "deltas must be numbers parted by commas, got an empty one"),
    ({"--deltas": "half"}, "argument --deltas: invalid floats value: 'half'"),
    ({"--seeds": "0"}, "seeds must be 1 or more, got 0"),
    ({"--jobs": "0"}, "jobs must be 1 or more, got 0"),
    ({"--checkpoint-seconds": "-1"}, "checkpoint_seconds must be 0 or more, got -1.0"),
    ({"--augmentation": "heavy"}, "no augmentation 'heavy': there is none, "),
    ({"--labels": "clean"}, "labels clean: --train-labels says in which file they are"),
    ({"--target-accuracy": "90"}, "target_accuracy must lie between 0 and 1, got 90.0"),
    (
        {"--batch-size": "65", "--max-train-rows": "64"},
        "batch_size must be at most the 64 rows of the train split, got 65",
    ),
    ({"--resume": ""}, "there is no comparison in out to resume"),
    ({"--members": "3"}, "unrecognized arguments: --members 3"),
]


def arguments(changes):
    options = {**GOOD, **changes}
    given = [part for name, value in options.items() if value is not None for part in (name, *value.split())]
    return ["compare", *given]


@pytest.mark.parametrize(("changes", "message"), BAD_INPUT, ids=lambda value: str(value)[:60])
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, changes, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments(changes)) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {message}")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("out/precious.txt").write_text("kept")
    assert main(arguments({})) == 2
    assert capsys.readouterr().err == (
        "error: out out exists already: choose another, or go on with it by --resume\n"
    )
    assert main(arguments({"--resume": ""})) == 2
    assert capsys.readouterr().err == "error: there is no comparison in out to resume\n"
    assert [path.name for path in Path("out").iterdir()] == ["precious.txt"]


def test_help_says_what_is_equal(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["compare", "--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    for word in ("--budget", "--selections", "--labels", "cascade-aware", "last weights, on the test split"):
        assert word in text
