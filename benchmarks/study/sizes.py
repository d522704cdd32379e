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
    """The comparison of selections: one model, and two members for each selection, label set and seed."""

    model: str
    epochs: int
    train_rows: int
    seeds: int
    target_accuracy: float


@dataclass(frozen=True, kw_only=True)
class Size:
    """`models` is the family, the smallest first, each trained `members` times on `train_rows` (None: all).

    test_rows, ood_rows: what is judged; ood_rows of each kind. seconds: of a load test's block.
    """

    name: str
    models: tuple[str, ...]
    members: int
    epochs: int
    train_rows: int | None
    selecting: Selecting
    test_rows: int
    ood_rows: int
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
                model="resnet8x0.5", epochs=2, train_rows=2000, seeds=2, target_accuracy=0.25
            ),
            test_rows=2000,
            ood_rows=500,
            resamples=200,
            seconds=1,
        ),
        Size(
            name="full",
            models=("resnet8x0.5", "resnet14x0.5", "resnet8", "resnet8x1.5"),
            members=3,
            epochs=8,
            train_rows=None,
            selecting=Selecting(
                model="resnet8x0.5", epochs=10, train_rows=10000, seeds=3, target_accuracy=0.55
            ),
            test_rows=10000,
            ood_rows=2000,
            resamples=400,
            seconds=4,
        ),
    )
}
