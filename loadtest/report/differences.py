"""How contenders differ from the baseline: what is said of each difference, and the table of all. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from cascade.intervals import Estimate
from loadtest.figures.comparison import Difference
from loadtest.figures.results import CaseResult, Results
from loadtest.report.case_table import Cell, Group, Read, case_table
from loadtest.report.document import beneath
from loadtest.report.wording import NONE, listed, signed


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A figure compared: as a difference of shares, or (`is_ratio`) as contender over baseline."""

    name: str
    read: Callable[[Difference], Estimate | None]
    is_ratio: bool = False
    is_more_better: bool = True

    @property
    def nothing(self) -> float:
        """What no difference looks like."""
        return 1.0 if self.is_ratio else 0.0


WITHOUT_LOAD = (
    Kind(name="accuracy", read=lambda d: d.accuracy),
    Kind(name="coverage", read=lambda d: d.coverage),
    Kind(name="risk", read=lambda d: d.risk, is_more_better=False),
)
UNDER_LOAD = (
    Kind(name="accuracy", read=lambda d: d.accuracy_under_load),
    Kind(name="p50", read=lambda d: d.p50, is_ratio=True, is_more_better=False),
    Kind(name="p99", read=lambda d: d.p99, is_ratio=True, is_more_better=False),
)
CAPACITY = Kind(name="rows/s", read=lambda d: d.capacity, is_ratio=True)


def is_told_apart(kind: Kind, share: Estimate) -> bool:
    """Whether the interval excludes that there is no difference; False where there is no interval."""
    return share.low > kind.nothing or share.high < kind.nothing


def differences_table(results: Results) -> str:
    cost: tuple[str, Read] = ("cost, × stage 1", _cost)
    groups = [
        Group("without load, in points", (*map(_column, WITHOUT_LOAD), cost)),
        Group("under load: points, then ratios", tuple(map(_column, UNDER_LOAD))),
    ]
    if results.campaign.capacities:
        groups.append(Group("saturation, ratio", (_column(CAPACITY),)))
    return case_table(results, groups, baseline=results.campaign.baseline)


def _column(kind: Kind) -> tuple[str, Read]:
    def read(case: CaseResult) -> Cell:
        share = None if case.difference is None else kind.read(case.difference)
        if share is None or not share.is_known:
            return Cell(NONE, "same")
        return Cell(beneath(_value(kind, share), _interval(kind, share)), _class(kind, share))

    return kind.name, read


def _value(kind: Kind, share: Estimate) -> str:
    text = f"{share.value:.2f}×" if kind.is_ratio else signed(share.value * 100)
    if not is_told_apart(kind, share):
        return text
    return f"{'▲' if share.value > kind.nothing else '▼'} {text}"


def _interval(kind: Kind, share: Estimate) -> str:
    if math.isnan(share.low):
        return ""
    if kind.is_ratio:
        return f"{share.low:.2f} to {share.high:.2f}"
    return f"{signed(share.low * 100)} to {signed(share.high * 100)}"


def _class(kind: Kind, share: Estimate) -> str:
    if not is_told_apart(kind, share):
        return "same"
    return "better" if (share.value > kind.nothing) == kind.is_more_better else "worse"


def _cost(case: CaseResult) -> Cell | str:
    if case.difference is None or case.difference.cost is None:
        return Cell(NONE, "same")
    return signed(case.difference.cost, 2)


def how_compared(results: Results) -> str:
    campaign = results.campaign
    others = [name for name in campaign.contenders if name != campaign.baseline]
    others = others or [case.name for case in results.cases if case.difference is not None]
    unit = "unique sample" if campaign.samples.groups is None else "group of samples that share a source"
    return (
        f"Compared with {campaign.baseline} (shaded): {listed(others)}. All met the same rows and arrivals, "
        "in time blocks of random order, and are compared pair by pair. Intervals are 95% of the bootstrap, "
        f"drawn by {unit} for answers and by time block for latency (none where there are fewer than three), "
        "and the range of the turns at saturation. ▲ and ▼ mark differences whose interval leaves no "
        "difference out; green is for the better, red for the worse."
    )
