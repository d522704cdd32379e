import os
import subprocess
import sys
from pathlib import Path

import pytest

import training
from training.budget import Budget
from training.cli import main, parse, parse_config
from training.config import OutputConfig
from training.data.config import AUGMENTATIONS, DATASETS
from training.recipes import recipe_names
from training.selection.registry import SELECTIONS

CHECKOUT = Path(training.__file__).parents[1]
GOOD = {"--dataset": "digits", "--models": "resnet8", "--out": "run", "--jobs": "1"}


def arguments(changes):
    options = {**GOOD, **changes}
    return [part for name, value in options.items() if value is not None for part in (name, *value.split())]


BAD_INPUT = [
    ({"--dataset": "mnist"}, "no dataset 'mnist': there is digits, cifar10, cifar100, stl10, folder"),
    ({"--dataset": None}, "the following arguments are required: --dataset"),
    ({"--models": "resnet8,,resnet8"}, "models must be names parted by commas, got an empty one"),
    ({"--models": "resnet9"}, "no model 'resnet9'; near it: "),
    ({"--models": "torchvision:resnet18"}, "torchvision's resnet18 takes 3 channels, the images have 1"),
    ({"--selection": "hard"}, "no selection 'hard': there is none, hard-batch"),
    ({"--selection": "hard-batch", "--delta": "0"}, "delta must be in (0, 1], got 0.0"),
    ({"--selection": "hard-batch", "--delta": "1.1"}, "delta must be in (0, 1], got 1.1"),
    ({"--selection": "hard-batch", "--delta": "nan"}, "delta must be in (0, 1], got nan"),
    ({"--delta": "0.5"}, "delta 0.5 has no meaning with selection none"),
    ({"--epochs": "0"}, "epochs must be 1 or more, got 0"),
    ({"--epochs": "two"}, "argument --epochs: invalid int value: 'two'"),
    ({"--batch-size": "1"}, "batch_size must be 2 or more, got 1"),
    (
        {"--batch-size": "65", "--max-train-rows": "64"},
        "batch_size must be at most the 64 rows of the train split, got 65",
    ),
    ({"--lr": "0"}, "lr must be a number above 0, got 0.0"),
    ({"--lr": "nan"}, "lr must be a number above 0, got nan"),
    ({"--lr": "inf"}, "lr must be a number above 0, got inf"),
    ({"--optimizer": "lion"}, "no optimizer 'lion': there is sgd, adamw"),
    ({"--schedule": "step"}, "no schedule 'step': there is cosine, constant"),
    ({"--weight-decay": "-1"}, "weight_decay must be a number of 0 or more, got -1.0"),
    ({"--optimizer": "adamw", "--momentum": "0.9"}, "momentum 0.9 has no meaning with optimizer adamw"),
    ({"--optimizer": "adamw", "--nesterov": ""}, "nesterov goes with optimizer sgd and a momentum above 0"),
    ({"--nesterov": "", "--momentum": "0"}, "nesterov goes with optimizer sgd and a momentum above 0"),
    ({"--momentum": "1"}, "momentum must be in [0, 1), got 1.0"),
    ({"--warmup": "-0.1"}, "warmup must be in [0, 1), got -0.1"),
    ({"--warmup": "1"}, "warmup must be in [0, 1), got 1.0"),
    ({"--budget": "90"}, "budget '90' is none of 5000updates, 1e6samples, 90seconds"),
    ({"--budget": "0updates"}, "budget must be a number above 0, got 0.0"),
    ({"--budget": "9updates", "--epochs": "2"}, "epochs 2 has no meaning with budget 9updates"),
    ({"--label-smoothing": "1"}, "label_smoothing must be in [0, 1), got 1.0"),
    ({"--precision": "fp8"}, "no precision 'fp8': there is fp32, bf16, fp16"),
    ({"--precision": "fp16", "--device": "cpu"}, "precision fp16 needs device cuda; bf16 runs on a CPU too"),
    ({"--device": "tpu"}, "no device 'tpu': there is auto, cpu, cuda"),
    ({"--threads": "0"}, "threads must be 1 or more, got 0"),
    ({"--recipe": "no-such"}, "no recipe 'no-such': there is "),
    ({"--members": "0"}, "members must be 1 or more, got 0"),
    ({"--members": "3", "--models": "resnet8,resnet14"}, "members 3 does not go with the 2 models resnet8,"),
    ({"--models": None}, "no model is named: --models A,B,... or a --recipe that names some"),
    ({"--selection": "none,none,none"}, "selection takes one value, or one for each of 1 members, got 3"),
    ({"--selection": "cascade-aware"}, "selection cascade-aware needs members before it"),
    ({"--selection": "hard-batch", "--select-unit": "pixel"}, "no unit 'pixel': there is batch, row"),
    ({"--full-every": "2"}, "full_every 2 has no meaning with selection none"),
    ({"--selection": "top-k", "--full-every": "2"}, "full_every 2 has no meaning with selection top-k"),
    ({"--selection": "hard-batch", "--finish": "1"}, "finish must be in [0, 1), got 1.0"),
    ({"--member": "0", "--overwrite": ""}, "--overwrite does not go with --member: others may be at work"),
    ({"--member": "1"}, "member must be 0 to 0, got 1"),
    ({"--resume": ""}, "there is no unfinished run run.partial to resume"),
    (
        {"--resume": "", "--dataset": None, "--models": None},
        "there is no unfinished run run.partial to resume",
    ),
    ({"--resume": "", "--dataset": None}, "--resume takes no settings, or all that the run began with"),
    ({"--checkpoint-seconds": "-1"}, "checkpoint_seconds must be 0 or more, got -1.0"),
    ({"--checkpoint-seconds": "nan"}, "checkpoint_seconds must be 0 or more, got nan"),
    ({"--train-labels": "no.npy"}, "there is no file of labels no.npy"),
    ({"--augmentation": "heavy"}, "no augmentation 'heavy': there is none, shift, standard, resized-crop"),
    ({"--seed": "99999999999999999999999"}, "seed must be 4294967295 or less, got 99999999999999999999999"),
    ({"--split-seed": "4294967296"}, "split_seed must be 4294967295 or less, got 4294967296"),
    ({"--out": "x" * 300}, "[Errno 36] File name too long"),
    ({"--seed": "-1"}, "seed must be 0 or more, got -1"),
    ({"--split-seed": "-1"}, "split_seed must be 0 or more, got -1"),
    ({"--difficulty": "1.5"}, "difficulty must be between 0 and 1, got 1.5"),
    ({"--difficulty": "nan"}, "difficulty must be between 0 and 1, got nan"),
    ({"--copies": "0"}, "copies must be 1 or more, got 0"),
    ({"--jobs": "0"}, "jobs must be 1 or more, got 0"),
    ({"--max-train-rows": "0"}, "max_train_rows must be 1 or more, got 0"),
    ({"--data-root": "."}, "dataset digits takes no --data-root, got ."),
    ({"--download": ""}, "--download is for dataset cifar10, cifar100, stl10, not digits"),
    ({"--image-size": "8"}, "dataset digits has its own size and takes no --image-size"),
    ({"--dataset": "cifar10"}, "dataset cifar10 is read from files: say where with --data-root"),
    ({"--dataset": "cifar10", "--data-root": "no"}, "data_root must be an existing folder, got no"),
    ({"--dataset": "cifar10", "--data-root": "."}, "no intact CIFAR-10 in ."),
    ({"--dataset": "folder", "--data-root": "."}, "dataset folder needs --image-size"),
    ({"--image-size": "8x"}, "argument --image-size: '8x' is neither N nor HxW"),
    (
        {"--dataset": "folder", "--data-root": ".", "--image-size": "0x8"},
        "image_size must be 1 or more, got 0",
    ),
    (
        {"--dataset": "folder", "--data-root": ".", "--image-size": "2000000000"},
        "image_size must be 4096 or less, got 2000000000",
    ),
    ({"--dataset": "folder", "--data-root": ".", "--image-size": "8"}, ". holds 0 class folders"),
    ({"--out": ".."}, "out must name a folder, got .."),
    ({"--epoch": "3"}, "unrecognized arguments: --epoch 3"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_INPUT, ids=lambda value: str(value)[:60])
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, changes, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments(changes)) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {message}")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "overwrite", "message"),
    [
        ("run.json", {}, "out run exists already: choose another or add --overwrite"),
        (
            "precious.txt",
            {"--overwrite": ""},
            "out run holds no run.json, so --overwrite will not replace it",
        ),
    ],
)
def test_what_is_there_is_left_alone(tmp_path, monkeypatch, capsys, file, overwrite, message):
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    (tmp_path / "run" / file).write_text("kept")
    assert main(arguments(overwrite)) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert (tmp_path / "run" / file).read_text() == "kept"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    assert main(arguments({"--out": str(tmp_path / "file" / "run"), "--epochs": "1"})) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: [Errno ") and str(tmp_path / "file") in line and line.count("\n") == 1
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("dataset", "given", "expected"),
    [
        ("digits", None, "none"),
        ("digits", "standard", "standard"),
        ("folder", None, "standard"),
        ("cifar10", None, "standard"),
        ("stl10", None, "standard"),
        ("stl10", "resized-crop", "resized-crop"),
        ("folder", "none", "none"),
    ],
)
def test_augmentation_goes_by_the_data_set_unless_told(tmp_path, dataset, given, expected):
    reads_files = dataset != "digits"
    changes = {
        "--dataset": dataset,
        "--data-root": str(tmp_path) if reads_files else None,
        "--image-size": "8" if dataset == "folder" else None,
        "--augmentation": given,
    }
    (member,) = parse_config(arguments(changes)).members
    assert member.training.augmentation == expected


def test_what_is_given_goes_where_it_belongs():
    given = {
        "--models": "resnet8,resnet14",
        "--selection": "none,hard-batch",
        "--delta": ",0.3",
        "--budget": "90seconds",
        "--lr": "0.2",
        "--nesterov": "",
        "--warmup": "0.1",
        "--select-unit": "row",
        "--checkpoint-seconds": "5",
        "--member": "1",
    }
    settings, output = parse(arguments(given))
    assert settings == {
        "dataset": {"name": "digits"},
        "models": ["resnet8", "resnet14"],
        "selection": ["none", "hard-batch"],
        "delta": [None, 0.3],
        "training": {
            "budget": Budget(unit="seconds", amount=90),
            "optimizer": {"lr": 0.2, "nesterov": True},
            "schedule": {"warmup": 0.1},
            "selection": {"unit": "row"},
        },
    }
    assert output == OutputConfig(out=Path("run"), member=1, jobs=1, checkpoint_s=5.0)


def test_a_run_is_gone_on_with_by_its_name_alone():
    settings, output = parse(["--resume", "--out", "run"])
    assert settings is None
    assert output == OutputConfig(out=Path("run"), resume=True, jobs=len(os.sched_getaffinity(0)))


def test_the_defaults_are_those_of_the_demo():
    given = {"--models": "resnet8,resnet8,resnet8"}
    config = parse_config(arguments({**given, "--selection": "hard-batch"}))
    assert (config.dataset.difficulty, config.dataset.copies, len(config.members)) == (0.75, 8, 3)
    for member in config.members:
        assert (member.training.epochs, member.training.batch_size) == (20, 32)
        assert member.training.selection.delta == 0.5
    assert [member.training.selection.delta for member in parse_config(arguments(given)).members] == [1] * 3


def test_help_names_every_choice(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    for word in (*DATASETS, *SELECTIONS, *AUGMENTATIONS, *recipe_names(), "cosine", "adamw", "torchvision:"):
        assert word in text


def test_arguments_are_checked_before_torch_is_imported():
    """So that a slip of the pen costs a fraction of a second."""
    program = (
        "import sys; from training.cli import main; status = main(sys.argv[1:]);"
        "sys.exit(status if not {'torch', 'timm', 'sklearn'} & set(sys.modules) else 99)"
    )
    command = [sys.executable, "-c", program, *arguments({"--epochs": "0"})]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "error: epochs must be 1 or more, got 0\n")
