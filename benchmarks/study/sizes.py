"""What is trained, and how long: the small study of minutes, the full one of hours, and one for a GPU."""

from collections.abc import Mapping
from dataclasses import dataclass

SERVED = "served"
"""The part that serves the members, and measures time."""
CLEAN, NOISY = "clean", "noisy"
LABELS = (CLEAN, NOISY)
PUBLISHED = "published"
"""In the place of a label set: clean labels, trained as in the hard-batch paper."""

NONE = "none"
HARD = "hard-batch"
AWARE = "cascade-aware"
CONTROL = "random-batch"
"""What a selection must beat, beside plain training, for its choice to be what helps."""
SELECTIONS = (NONE, CONTROL, "least-recent", HARD, AWARE)
AS_PUBLISHED = (NONE, CONTROL, HARD)
"""What is asked in the hard-batch paper's own setting, beside the two label sets."""
ASKED_AGAIN = (NONE, CONTROL, AWARE)
"""What looked promising on the first seeds, and what it must beat, on fresh ones."""


@dataclass(frozen=True, kw_only=True)
class Selecting:
    """The comparison of selections: one model, and two members for each selection, label set and seed.

    fresh_seeds: how many more there are of what is asked again, with clean labels. target_accuracy:
    validation accuracy that updates are counted to, by label set: what plain training reaches in its last
    epochs. published_seeds: of how many there are runs by the hard-batch paper's recipe for ResNet-18, too,
    of `published_epochs` on all rows; 0 where that is left out.
    """

    model: str
    epochs: int
    train_rows: int
    seeds: int
    fresh_seeds: int
    target_accuracy: Mapping[str, float]
    published_seeds: int = 0
    published_epochs: int = 0

    @property
    def first(self) -> range:
        return range(self.seeds)

    @property
    def fresh(self) -> range:
        return range(self.seeds, self.seeds + self.fresh_seeds)

    @property
    def published(self) -> range:
        return range(self.published_seeds)

    def arms(self, seed: int) -> list[tuple[str, str]]:
        """Label sets and selections that members are trained with by a seed."""
        return [
            *((labels, selection) for labels in LABELS for selection in SELECTIONS if seed in self.first),
            *((PUBLISHED, selection) for selection in AS_PUBLISHED if seed in self.published),
            *((CLEAN, selection) for selection in ASKED_AGAIN if seed in self.fresh),
        ]


@dataclass(frozen=True, kw_only=True)
class Size:
    """`models` is the family, the smallest first, each trained `members` times on `train_rows` (None: all).

    options: of every training, beside what is named here. device: what it is meant for. is_served: whether
    costs are also measured in CPU time, by serving the members; those of the size for a GPU are too large for
    that.

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
    options: tuple[str, ...] = ()
    device: str = "CPUs"
    is_served: bool = True

    def has(self, part: str) -> bool:
        """Whether the part of the study is one of this size."""
        return self.is_served or part != SERVED


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
                fresh_seeds=2,
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
                fresh_seeds=5,
                target_accuracy={CLEAN: 0.55, NOISY: 0.42},
            ),
            calibration_rows=5000,
            test_rows=10000,
            ood_rows=2000,
            budgets=(1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0),
            resamples=200,
            seconds=4,
        ),
        Size(
            name="gpu",
            models=("resnet20x0.5", "resnet20", "resnet20x2", "resnet20x4"),
            members=3,
            epochs=30,
            train_rows=10000,
            selecting=Selecting(
                model="small:resnet18",
                epochs=24,
                train_rows=10000,
                seeds=3,
                fresh_seeds=0,
                target_accuracy={CLEAN: 0.77, NOISY: 0.62, PUBLISHED: 0.68},
                published_seeds=2,
                published_epochs=6,
            ),
            calibration_rows=5000,
            test_rows=10000,
            ood_rows=2000,
            budgets=(1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0),
            resamples=200,
            seconds=4,
            options=("--batch-size", "128", "--precision", "bf16"),
            device="a GPU",
            is_served=False,
        ),
    )
}
