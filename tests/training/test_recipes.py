import pytest

from training.assemble import assemble
from training.errors import ConfigError
from training.models import check_model_name
from training.recipes import FOLDER, read_recipe, recipe_names

PAPER = {
    "paper-resnet18": ("torchvision:resnet18", 0.5),
    "paper-resnet50": ("torchvision:resnet50", 0.5),
    "paper-efficientnet-b4": ("torchvision:efficientnet_b4", 0.8),
    "paper-efficientnetv2-s": ("torchvision:efficientnet_v2_s", 0.8),
    "paper-mobilenetv3-s": ("torchvision:mobilenet_v3_small", 0.2),
}
OTHERS = {
    "modern-sgd": ["small:resnet18"] * 3,
    "modern-adamw": ["small:convnext_atto"] * 3,
    "small-cpu": ["resnet8"] * 3,
}


def made_with(recipe, tmp_path, **given):
    return assemble({"recipe": recipe, "dataset": {"name": "cifar10", "data_root": tmp_path}, **given})


def file(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_recipes_there_are():
    assert recipe_names() == tuple(sorted([*PAPER, *OTHERS]))
    # The build copies by this pattern.
    assert {path.suffix for path in FOLDER.iterdir()} == {".toml"}


@pytest.mark.parametrize("name", recipe_names())
def test_each_makes_a_run_of_models_there_are(tmp_path, name):
    config = made_with(name, tmp_path)
    for member in config.members:
        check_model_name(member.model)
    assert read_recipe(name)["description"]


@pytest.mark.parametrize(("name", "models"), OTHERS.items())
def test_baselines_decay_to_zero_and_select_nothing(tmp_path, name, models):
    config = made_with(name, tmp_path)
    assert [member.model for member in config.members] == models
    for training in (member.training for member in config.members):
        assert (training.schedule.name, training.selection.name) == ("cosine", "none")
        assert training.augmentation == "standard"
        assert not training.optimizer.decay_norms


@pytest.mark.parametrize(("name", "model", "delta"), [(name, *values) for name, values in PAPER.items()])
def test_the_paper_is_followed(tmp_path, name, model, delta):
    """Its code: SGD, momentum 0.9, no weight decay, no schedule, no augmentation, batches of 64 to 512."""
    (member,) = made_with(name, tmp_path).members
    training, optimizer, selection = (
        member.training,
        member.training.optimizer,
        member.training.selection,
    )
    assert member.model == model
    assert (selection.name, selection.delta, selection.unit) == ("hard-batch", delta, "batch")
    assert (selection.reshuffle_every, selection.full_every, selection.finish) == (0, 0, 0.0)
    assert (optimizer.name, optimizer.momentum, optimizer.nesterov) == ("sgd", 0.9, False)
    assert (optimizer.weight_decay, training.label_smoothing) == (0.0, 0.0)
    assert (training.schedule.name, training.schedule.warmup) == ("constant", 0.0)
    assert (training.augmentation, training.precision) == ("none", "fp32")
    assert 64 <= training.batch_size <= 512


@pytest.mark.parametrize("name", PAPER)
def test_what_is_not_the_papers_is_said_to_be_ours(name):
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert "# Ours, as their text names no value: learning rate and epochs, and the batch size" in text


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(ConfigError) as caught:
        read_recipe("paper")
    names = ", ".join(recipe_names())
    assert str(caught.value) == f"no recipe 'paper': there is {names}, or a path that ends in .toml"


def test_a_path_names_a_recipe_of_ones_own(tmp_path):
    path = file(tmp_path, 'models = ["resnet8"]\nmembers = 2\n[training]\nepochs = 3\n')
    assert read_recipe(path) == {"models": ["resnet8"], "members": 2, "training": {"epochs": 3}}
    assert [member.training.epochs for member in made_with(path, tmp_path).members] == [3, 3]


def test_a_missing_path_is_no_recipe(tmp_path):
    with pytest.raises(ConfigError, match=r"no recipe '.*none\.toml': there is modern-adamw, "):
        read_recipe(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models = [", "recipe {path} can't be read: "),
        ('epochs = 3\nmodels = ["a"]', "recipe {path}: no setting 'epochs': there is description, models, "),
        ('models = "resnet8"', "recipe {path}: models must be a list of names, got 'resnet8'"),
        ("models = [8]", "recipe {path}: models must be a list of names, got [8]"),
        ('members = "3"', "recipe {path}: members must be a whole number, got '3'"),
        ("members = true", "recipe {path}: members must be a whole number, got True"),
        ("members = 2.5", "recipe {path}: members must be a whole number, got 2.5"),
        ("description = 1", "recipe {path}: description must be text, got 1"),
        ("training = 3", "recipe {path}: training must be a table, got 3"),
        ("[member]\nmodel = 'a'", "recipe {path}: member must be tables [[member]], got {{'model': 'a'}}"),
        ("[[member]]\nmodel = 3", "recipe {path}: a member's model must be a name, got 3"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path, text, message):
    path = file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_recipe(path)
    assert str(caught.value).startswith(message.format(path=path))


def test_a_folder_or_bytes_are_no_recipe(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    for name in ("folder.toml", "bytes.toml"):
        with pytest.raises(ConfigError, match=f"{name} can't be read: "):
            read_recipe(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "training: no setting 'epoch': there is epochs, "),
        ('epochs = "3"', "training.epochs must be int, got '3'"),
        ("epochs = true", "training.epochs must be int, got True"),
        ('optimizer = "sgd"', "training.optimizer must be a table, got 'sgd'"),
        ("optimizer.lr = nan", "lr must be a number above 0, got nan"),
        ('optimizer.lr = "0.1"', "training.optimizer.lr must be float, got '0.1'"),
        ("optimizer.rate = 0.1", "training.optimizer: no setting 'rate': there is name, lr, "),
        (
            'optimizer.name = "adamw"\noptimizer.momentum = 0.9',
            "momentum 0.9 has no meaning with optimizer adamw",
        ),
        ('selection = "hard-batch"', "training.selection must be a table, got 'hard-batch'"),
        ('selection.delta = "0.5"', "training.selection.delta must be float, got '0.5'"),
        ("selection.name = 5", "training.selection.name must be str, got 5"),
        ("selection.full_every = 1.5", "training.selection.full_every must be int, got 1.5"),
        ("selection.share = 0.5", "training.selection: no setting 'share': there is name, delta, "),
        ('selection.name = "hard-batch"\nselection.delta = nan', "delta must be in (0, 1], got nan"),
        ("schedule.warmup = 1", "warmup must be in [0, 1), got 1.0"),
        ('budget = "9seconds"', "training.budget must be a table, got '9seconds'"),
        ("budget.amount = 9", "training.budget.unit is missing"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path, text, message):
    path = file(tmp_path, f'models = ["resnet8"]\n[training]\n{text}\n')
    with pytest.raises(ConfigError) as caught:
        made_with(path, tmp_path)
    assert str(caught.value).startswith(message)


def test_a_budget_is_a_table(tmp_path):
    path = file(tmp_path, 'models = ["resnet8"]\n[training]\nbudget = { unit = "seconds", amount = 9 }\n')
    (member,) = made_with(path, tmp_path).members
    assert str(member.training.budget) == "9seconds"


MEMBERS = """
[training]
epochs = 4
optimizer = { lr = 0.5, weight_decay = 0.25 }

[[member]]
model = "resnet14"

[[member]]
model = "resnet20"
epochs = 9
optimizer = { lr = 0.125 }
selection = { name = "hard-batch", delta = 0.25 }
"""


def test_each_member_has_what_its_table_says(tmp_path):
    first, second = made_with(file(tmp_path, MEMBERS), tmp_path).members
    assert (first.model, second.model) == ("resnet14", "resnet20")
    assert (first.training.epochs, second.training.epochs) == (4, 9)
    assert (first.training.optimizer.lr, second.training.optimizer.lr) == (0.5, 0.125)
    assert (first.training.optimizer.weight_decay, second.training.optimizer.weight_decay) == (0.25, 0.25)
    assert (first.training.selection.name, first.training.selection.reshuffle_every) == ("none", 1)
    assert (second.training.selection.name, second.training.selection.delta) == ("hard-batch", 0.25)


def test_a_members_model_goes_before_the_shared_one(tmp_path):
    text = 'models = ["resnet8"]\n[[member]]\nmodel = "resnet14"\n[[member]]\nepochs = 1\n'
    members = made_with(file(tmp_path, text), tmp_path).members
    assert [(member.model, member.training.epochs) for member in members] == [
        ("resnet14", 20),
        ("resnet8", 1),
    ]


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ('models = ["a"]\nmembers = 3', {}, "the recipe describes 2 members, and there are 3"),
        ("", {"members": 3}, "members 3 does not go with the 2 models b,c"),
        ("", {"models": ["a"]}, "the recipe describes 2 members, and there are 1"),
    ],
)
def test_another_number_of_members_than_tables_is_refused(tmp_path, text, given, message):
    path = file(tmp_path, f'{text}\n[[member]]\nmodel = "b"\n[[member]]\nmodel = "c"\n')
    with pytest.raises(ConfigError) as caught:
        made_with(path, tmp_path, **given)
    assert str(caught.value) == message
