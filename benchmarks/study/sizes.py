"""What is trained, and how long: the small study of minutes and the full one of hours."""

from collections.abc import Mapping
from dataclasses import dataclass

CLEAN, NOISY = "clean", "noisy"
LABELS = (CLEAN, NOISY)

NONE = "none"
AWARE = "cascade-aware"
SELECTIONS = (NONE, "random-batch", "least-recent", "hard-batch", AWARE)


@dataclass(frozen=True, kw_only=True)
class Selecting:
    """The comparison of selections: one model, and two members for each selection, label set and seed.

    target_accuracy: validation accuracy that updates are counted to, by label set: what plain training
    reaches in its last epochs.
    """

    model: str
    epochs: int
    train_rows: int
    seeds: int
    target_accuracy: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Size:
    """`models` is the family, the smallest first, each trained `members` times on `train_rows` (None: all).

    calibration_rows, test_rows, ood_rows: what is fitted on and judged; ood_rows of each kind. budgets:
    those of the comparison of windows, as multiples of the first member. seconds: of a load test's block.
    """

    name: str
    models: tuple[str, ...]
    members: int
    epochs: int
    train_rows: int | None
    selecting: Selecting
    calibration_rows: int
    test_rows: int
    ood_rows: int
    budgets: tuple[float, ...]
    resamples: int
    seconds: float


SIZES: Mapping[str, Size] = {
    size.name: size
    for size in (
        Size(
            name="small",
            models=("resnet8x0.5", "resnet8", "resnet8x1.5"),
            members=3,
            epochs=2,
            train_rows=4000,
            selecting=Selecting(
                model="resnet8x0.5",
                epochs=2,
                train_rows=2000,
                seeds=2,
                target_accuracy={CLEAN: 0.25, NOISY: 0.2},
            ),
            calibration_rows=2000,
            test_rows=2000,
            ood_rows=500,
            budgets=(1.1, 1.2, 1.5),
            resamples=100,
            seconds=1,
        ),
        Size(
            name="full",
            models=("resnet8x0.5", "resnet14x0.5", "resnet8", "resnet8x1.5"),
            members=3,
            epochs=8,
            train_rows=None,
            selecting=Selecting(
                model="resnet8x0.5",
                epochs=10,
                train_rows=10000,
                seeds=3,
                target_accuracy={CLEAN: 0.55, NOISY: 0.42},
            ),
            calibration_rows=5000,
            test_rows=10000,
            ood_rows=2000,
            budgets=(1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0),
            resamples=200,
            seconds=4,
        ),
    )
}
