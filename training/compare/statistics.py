"""What a comparison shows, and how little a few seeds can show. Pure."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

from training.checks import within
from training.compare.results import Arm, Result, by_arm
from training.errors import ConfigError

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean over seeds, and sample standard deviation (over n - 1), None where there is one seed."""

    mean: float
    deviation: float | None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An arm minus the baseline, seed by seed; two seeds or more.

    The interval is Student's t for paired samples (Student, "The probable error of a mean", Biometrika 1908):
    mean ± t s / sqrt(n), with s the sample standard deviation of the n differences and t the quantile at
    n - 1 degrees of freedom. It takes the differences for draws from one normal distribution.
    """

    seeds: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def half_width(self) -> float:
        """Also the smallest mean difference that this comparison, with its spread, could have told from zero.

        A true difference of just this size would be missed about every other time.
        """
        num_seeds = len(self.values)
        quantile = float(stdtrit(num_seeds - 1, (1 + CONFIDENCE) / 2))
        return quantile * statistics.stdev(self.values) / math.sqrt(num_seeds)

    @property
    def low(self) -> float:
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        return self.mean + self.half_width

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """One arm over its seeds.

    The differences are None for the baseline itself and where fewer than two seeds are common with it.
    updates, samples and mean_overlap are means over seeds, share_never_again too; visits_min and visits_max
    are the extremes over all seeds. updates_to_target is per seed, None = never; empty without a target.
    """

    arm: Arm
    num_seeds: int
    test_accuracy: Spread
    test_nll: Spread
    validation_accuracy: Spread
    seconds: Spread
    updates: float
    samples_forward: float
    samples_backward: float
    accuracy_difference: Difference | None
    nll_difference: Difference | None
    updates_to_target: tuple[int | None, ...]
    mean_overlap: float | None
    visits_min: int
    visits_max: int
    share_never_again: float | None

    @property
    def num_reached(self) -> int:
        return sum(updates is not None for updates in self.updates_to_target)

    @property
    def median_updates_to_target(self) -> float | None:
        """Over seeds, where never counts as infinite; None if the median is never, or there is no target."""
        if not self.updates_to_target:
            return None
        median = statistics.median(math.inf if n is None else n for n in self.updates_to_target)
        return median if math.isfinite(median) else None

    def to_row(self) -> dict[str, Any]:
        """Flat; None where a value is unknown."""
        return {
            **self.arm.to_row(),
            "num_seeds": self.num_seeds,
            **_spread_row("test_accuracy", self.test_accuracy),
            **_difference_row("accuracy_difference", self.accuracy_difference),
            **_spread_row("test_nll", self.test_nll),
            **_difference_row("nll_difference", self.nll_difference),
            **_spread_row("validation_accuracy", self.validation_accuracy),
            "median_updates_to_target": self.median_updates_to_target,
            "num_reached": self.num_reached if self.updates_to_target else None,
            "updates": self.updates,
            "samples_forward": self.samples_forward,
            "samples_backward": self.samples_backward,
            **_spread_row("seconds", self.seconds),
            "mean_overlap": self.mean_overlap,
            "visits_min": self.visits_min,
            "visits_max": self.visits_max,
            "share_never_again": self.share_never_again,
        }


def summarise(
    results: Sequence[Result], *, baseline: str | None, target_accuracy: float | None
) -> tuple[ArmSummary, ...]:
    """In the order in which arms first appear, arms of the same labels together.

    `baseline` is the name of an arm; each arm is compared with that of its own labels. Raises ConfigError
    where there is no result, an arm has a seed twice, or no arm has the baseline's name.
    """
    _check(results, baseline)
    if target_accuracy is not None:
        within("target_accuracy", target_accuracy, 0, 1)
    arms = by_arm(results)
    baselines = {arm.labels: runs for arm, runs in arms.items() if arm.name == baseline}
    return tuple(_summary(runs, baselines.get(arm.labels, ()), target_accuracy) for arm, runs in arms.items())


def by_labels(summaries: Iterable[ArmSummary]) -> dict[str, tuple[ArmSummary, ...]]:
    groups: dict[str, list[ArmSummary]] = {}
    for summary in summaries:
        groups.setdefault(summary.arm.labels, []).append(summary)
    return {labels: tuple(group) for labels, group in groups.items()}


def updates_to_target(result: Result, target_accuracy: float) -> int | None:
    """The updates of the first point whose validation accuracy reaches the target; None = never."""
    reached = (point.updates for point in result.curve if point.validation_accuracy >= target_accuracy)
    return next(reached, None)


def _spread_row(name: str, spread: Spread) -> dict[str, Any]:
    return {f"{name}_mean": spread.mean, f"{name}_deviation": spread.deviation}


def _difference_row(name: str, difference: Difference | None) -> dict[str, Any]:
    parts = ("mean", "low", "high", "half_width")
    row = {f"{name}_{part}": difference and getattr(difference, part) for part in parts}
    return {**row, f"{name}_num_seeds": difference and len(difference.seeds)}


def _check(results: Sequence[Result], baseline: str | None) -> None:
    if not results:
        raise ConfigError("nothing to compare: there are no results")
    (arm, seed), count = Counter((result.arm, result.seed) for result in results).most_common(1)[0]
    if count > 1:
        of_labels = f" on labels {arm.labels}" if arm.labels else ""
        raise ConfigError(f"{count} results of {arm.name}{of_labels} at seed {seed}: one is wanted")
    names = dict.fromkeys(result.arm.name for result in results)
    if baseline is not None and baseline not in names:
        raise ConfigError(f"no baseline {baseline!r} among the arms: there is {', '.join(names)}")


def _summary(runs: Sequence[Result], base: Sequence[Result], target_accuracy: float | None) -> ArmSummary:
    return ArmSummary(
        arm=runs[0].arm,
        num_seeds=len(runs),
        test_accuracy=_spread([run.test_accuracy for run in runs]),
        test_nll=_spread([run.test_nll for run in runs]),
        validation_accuracy=_spread([run.final_validation_accuracy for run in runs]),
        seconds=_spread([run.seconds for run in runs]),
        updates=statistics.fmean(run.updates for run in runs),
        samples_forward=statistics.fmean(run.samples_forward for run in runs),
        samples_backward=statistics.fmean(run.samples_backward for run in runs),
        accuracy_difference=_difference(runs, base, lambda run: run.test_accuracy),
        nll_difference=_difference(runs, base, lambda run: run.test_nll),
        updates_to_target=_all_updates_to_target(runs, target_accuracy),
        mean_overlap=_mean_of_known(run.mean_overlap for run in runs),
        visits_min=min(run.visits_min for run in runs),
        visits_max=max(run.visits_max for run in runs),
        share_never_again=_mean_of_known(run.share_never_again for run in runs),
    )


def _all_updates_to_target(runs: Sequence[Result], target: float | None) -> tuple[int | None, ...]:
    return () if target is None else tuple(updates_to_target(run, target) for run in runs)


def _spread(values: Sequence[float]) -> Spread:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(mean=statistics.fmean(values), deviation=deviation)


def _difference(
    runs: Sequence[Result], base: Sequence[Result], measure: Callable[[Result], float]
) -> Difference | None:
    in_base = {run.seed: measure(run) for run in base}
    values = {run.seed: measure(run) - in_base[run.seed] for run in runs if run.seed in in_base}
    if runs is base or len(values) < 2:
        return None
    seeds = tuple(sorted(values))
    return Difference(seeds=seeds, values=tuple(values[seed] for seed in seeds))


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
