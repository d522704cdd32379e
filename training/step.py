"""One update: forward, loss, backward, step."""

from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]
from torch import Tensor, nn

from training.config import OptimizerConfig, TrainingConfig
from training.errors import ConfigError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Stepper:
    """What updates a model. `network` is the model as it is run: wrapped where several processes train it."""

    def __init__(self, network: nn.Module, config: TrainingConfig, device: torch.device) -> None:
        if config.precision == "fp16" and device.type != "cuda":
            raise ConfigError("precision fp16 needs device cuda; bf16 runs on a CPU too")
        self.network = network
        self.optimizer = make_optimizer(network, config.optimizer)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self._config = config
        self._device = device

    def losses(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, classes) and the loss (n,) of each row, in float32."""
        with self._precision():
            logits = self.network(images)
        logits = logits.float()
        smoothing = self._config.label_smoothing
        return logits, nn.functional.cross_entropy(
            logits, labels, reduction="none", label_smoothing=smoothing
        )

    def update(self, losses: Tensor, weights: Tensor | None, rate: float) -> None:
        """One step at `rate` on the mean of `losses` (n,), each times its weight (n,) where there are any."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = (losses if weights is None else losses * weights).mean()
        self.optimizer.zero_grad()
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _precision(self) -> AbstractContextManager[None]:
        is_mixed = self._config.precision != "fp32"
        return torch.autocast(self._device.type, DTYPES[self._config.precision], enabled=is_mixed)


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    parameters: Iterable[nn.Parameter] | list[dict[str, object]] = model.parameters()
    if not config.decay_norms:
        parameters = param_groups_weight_decay(model, config.weight_decay)
    if config.name == "adamw":
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        parameters,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.nesterov,
    )


def pick_device(name: str, position: int | None = None) -> torch.device:
    """`auto` is a GPU where there is one. ConfigError where one is asked for and there is none.

    position: of a member among others side by side, which take the GPUs in turn; None takes the current one.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda is asked for, and torch sees no GPU")
    if name == "cpu":
        return torch.device(name)
    number = torch.cuda.current_device() if position is None else position % torch.cuda.device_count()
    return torch.device(name, number)
