"""The members here are real ones on disk, of few weights."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from training.earlier import mean_probabilities, rows_forwarded
from training.evaluation import Rows
from training.models import FORMAT_VERSION, ModelSpec, build_model

SPEC = ModelSpec(name="resnet8x0.5", height=8, width=8, channels=1, num_classes=3, mean=(0.5,), std=(0.25,))


@pytest.fixture(autouse=True)
def one_thread():
    """More would cost such small models seconds on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_member(folder, model):
    folder.mkdir()
    manifest = {"format_version": FORMAT_VERSION, "model": SPEC.to_json()}
    (folder / "member.json").write_text(json.dumps(manifest), encoding="utf-8")
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder


@pytest.fixture
def constant_members(tmp_path):
    """Their logits are the logarithms of odds, whatever the image."""

    def write(*odds):
        folders = []
        for index, of_member in enumerate(odds):
            model = build_model(SPEC)
            with torch.no_grad():
                head = list(model.parameters())[-2:]
                head[0].zero_()
                head[1].copy_(torch.tensor(of_member).log())
            folders.append(write_member(tmp_path / f"member-{index}", model))
        return folders

    return write


@pytest.fixture
def random_members(tmp_path):
    torch.manual_seed(1)
    models = [build_model(SPEC) for _ in range(2)]
    for model in models:
        with torch.no_grad():
            # Outputs that differ between images, and are far from even.
            list(model.parameters())[-2].mul_(8)
    return [write_member(tmp_path / f"member-{index}", model) for index, model in enumerate(models)], models


def images(num_rows, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num_rows, 8, 8, 1), generator=generator, dtype=torch.uint8)


def test_probabilities_are_averaged_and_not_logits(constant_members):
    """(1, 2, 5) / 8 and (3, 4, 1) / 8 come to (2, 3, 3) / 8."""
    folders = constant_members((1.0, 2.0, 5.0), (3.0, 4.0, 1.0))
    probabilities = mean_probabilities(folders, images(2, seed=0))
    assert probabilities.dtype == torch.float64
    assert probabilities.numpy() == pytest.approx(np.array([[2, 3, 3]] * 2) / 8, abs=1e-6)


def test_one_member_is_its_own_mean(constant_members):
    (folder,) = constant_members((1.0, 2.0, 5.0))
    assert mean_probabilities([folder], images(1, seed=0)).numpy() == pytest.approx(
        np.array([[1, 2, 5]]) / 8, abs=1e-6
    )


def scores_of(models, rows):
    """The largest mean probability of each row and its class, in NumPy."""
    logits = [model.eval()(rows).detach().numpy().astype(np.float64) for model in models]
    exponentials = [np.exp(values - values.max(axis=1, keepdims=True)) for values in logits]
    mean = sum(values / values.sum(axis=1, keepdims=True) for values in exponentials) / len(models)
    return mean.max(axis=1), mean.argmax(axis=1)


@pytest.mark.parametrize(("num_right", "delta"), [(40, 0.25), (24, 0.25), (24, 0.5), (0, 0.1)])
def test_the_window_lies_around_the_threshold_by_rank(random_members, num_right, delta):
    """The best-scored validation rows are right and no others, so the threshold is known.

    The threshold accepts what is right and as many wrong as are 5% of all; the same rank is taken on train.
    """
    folders, models = random_members
    train, validation = images(60, seed=2), images(40, seed=3)
    scores, labels = scores_of(models, validation)
    assert len(set(scores)) == 40
    by_score = np.argsort(-scores)
    labels[by_score[num_right:]] = (labels[by_score[num_right:]] + 1) % 3
    # 24 right rows take one wrong with them: 1 / 25 is below 5%, 2 / 26 is not.
    num_accepted = {40: 40, 24: 25, 0: 0}[num_right]
    num_rows = int(delta * 60)
    # Numbers of ranks from below; at either end the window is shifted inwards.
    middle = round((1 - num_accepted / 40) * 60 - num_rows / 2)
    first = min(max(middle, 0), 60 - num_rows)
    train_scores, _ = scores_of(models, train)
    expected = np.sort(np.argsort(train_scores)[first : first + num_rows])
    found = rows_forwarded(
        folders,
        Rows(train, torch.zeros(60, dtype=torch.int64)),
        Rows(validation, torch.from_numpy(labels)),
        delta,
    )
    assert found.tolist() == expected.tolist()
