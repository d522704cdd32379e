import pytest
import torch

from training.config import OptimizerConfig, TrainingConfig
from training.errors import ConfigError
from training.step import Stepper, make_optimizer, pick_device

CPU = torch.device("cpu")


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)
        self.norm = torch.nn.BatchNorm1d(3)

    def forward(self, images):
        return self.norm(self.layer(images.flatten(1).float() / 255))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Linear()


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (6, 2, 2, 1), dtype=torch.uint8, generator=generator)


LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def make_stepper(model, **settings):
    optimizer = OptimizerConfig(**{"lr": 1.0, "momentum": 0.0} | settings.pop("optimizer", {}))
    return Stepper(model, TrainingConfig(optimizer=optimizer, **settings), CPU)


def test_a_loss_is_the_row_s_own_cross_entropy(model, images):
    model.eval()
    logits, losses = make_stepper(model).losses(images, LABELS)
    assert torch.equal(logits, model(images))
    expected = [-torch.log_softmax(row, 0)[label] for row, label in zip(logits, LABELS, strict=True)]
    assert torch.allclose(losses, torch.stack(expected), atol=1e-6)


def test_label_smoothing_mixes_in_every_class(model, images):
    model.eval()
    logits, losses = make_stepper(model, label_smoothing=0.3).losses(images, LABELS)
    logs = torch.log_softmax(logits, dim=1)
    true = logs[torch.arange(6), LABELS]
    assert torch.allclose(losses, -(0.7 * true + 0.3 * logs.mean(dim=1)), atol=1e-6)


def test_an_update_steps_down_the_mean_of_the_losses_at_the_rate_given(model, images):
    before = model.layer.weight.detach().clone()
    stepper = make_stepper(model)
    _, losses = stepper.losses(images, LABELS)
    (gradient,) = torch.autograd.grad(losses.mean(), [model.layer.weight], retain_graph=True)
    stepper.update(losses, None, rate=0.25)
    assert torch.allclose(before - model.layer.weight, 0.25 * gradient, atol=1e-7)


def test_weights_scale_what_a_row_pulls(model, images):
    weights = torch.tensor([2.0, 0.0, 1.0, 4.0, 0.0, 1.0])
    before = model.layer.weight.detach().clone()
    stepper = make_stepper(model)
    _, losses = stepper.losses(images, LABELS)
    by_row = [
        torch.autograd.grad(loss, [model.layer.weight], retain_graph=True)[0] for loss in losses.unbind()
    ]
    stepper.update(losses, weights, rate=1.0)
    expected = sum(weight * row for weight, row in zip(weights, by_row, strict=True)) / 6
    assert torch.allclose(before - model.layer.weight, expected, atol=1e-6)


def test_gradients_do_not_add_up_over_updates(model, images):
    stepper = make_stepper(model, optimizer={"lr": 1.0})
    for _ in range(2):
        _, losses = stepper.losses(images, LABELS)
        (gradient,) = torch.autograd.grad(losses.mean(), [model.layer.bias], retain_graph=True)
        stepper.update(losses, None, rate=0.1)
        assert torch.allclose(model.layer.bias.grad, gradient)


def test_bf16_computes_in_bf16_and_answers_in_float32(model, images):
    model.eval()
    with torch.autocast("cpu", torch.bfloat16):
        expected = model(images).float()
    logits, losses = make_stepper(model, precision="bf16").losses(images, LABELS)
    assert logits.dtype == losses.dtype == torch.float32
    assert torch.equal(logits, expected)
    assert not torch.equal(logits, model(images))
    assert torch.allclose(logits, model(images), atol=0.05)
    assert model.layer.weight.dtype == torch.float32


def test_fp16_needs_a_gpu(model):
    with pytest.raises(ConfigError, match="precision fp16 needs device cuda; bf16 runs on a CPU too"):
        make_stepper(model, precision="fp16")


def decays(optimizer):
    return {
        tuple(parameter.shape): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_weight_decay_spares_norms_and_biases_where_told(model):
    for decay_norms, spared in ((True, 0.2), (False, 0.0)):
        optimizer = make_optimizer(model, OptimizerConfig(weight_decay=0.2, decay_norms=decay_norms))
        assert decays(optimizer) == {(3, 4): 0.2, (3,): spared}


@pytest.mark.parametrize(
    ("settings", "kind", "expected"),
    [
        ({"momentum": 0.8}, torch.optim.SGD, {"momentum": 0.8, "nesterov": False}),
        ({"momentum": 0.8, "nesterov": True}, torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
        ({"name": "adamw"}, torch.optim.AdamW, {"betas": (0.9, 0.999)}),
    ],
)
def test_the_optimizer_takes_its_settings(model, settings, kind, expected):
    optimizer = make_optimizer(model, OptimizerConfig(lr=0.3, weight_decay=0.2, **settings))
    assert isinstance(optimizer, kind)
    taken = {name: optimizer.defaults[name] for name in ("lr", "weight_decay", *expected)}
    assert taken == {"lr": 0.3, "weight_decay": 0.2} | expected


def test_adamw_decays_apart_from_the_gradient(model, images):
    """The first step of Adam is of the rate's size, and the decay is that of the weight times the rate."""
    before = model.layer.weight.detach().clone()
    stepper = make_stepper(model, optimizer={"name": "adamw", "weight_decay": 0.5})
    _, losses = stepper.losses(images, LABELS)
    (gradient,) = torch.autograd.grad(losses.mean(), [model.layer.weight], retain_graph=True)
    stepper.update(losses, None, rate=0.01)
    expected = before - 0.01 * 0.5 * before - 0.01 * gradient.sign()
    assert torch.allclose(model.layer.weight, expected, atol=1e-5)


def test_a_device_is_picked():
    assert pick_device("cpu") == CPU
    if not torch.cuda.is_available():
        assert pick_device("auto") == CPU
        with pytest.raises(ConfigError, match="device cuda is asked for, and torch sees no GPU"):
            pick_device("cuda")
