"""What a run must reach, as a gate for CI: `p99<50ms`, `agreement>0.98`, `window:accuracy>=0.9`. Pure."""

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cascade.intervals import Estimate
from loadtest.errors import ConfigError
from loadtest.figures.results import CaseResult, Results

FORM = re.compile(r"(?:(?P<contender>.+):)?\s*(?P<figure>[a-z0-9_]+)\s*(?P<sign><=|>=|<|>)(?P<value>[^<>=]+)")
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# Of a figure's unit, which is milliseconds, a share, or what the table says.
UNITS = {"": 1.0, "us": 1e-3, "ms": 1.0, "s": 1e3, "%": 0.01}
VALUE = re.compile(r"([0-9.eE+-]+?)\s*(us|ms|s|%|)")


def _value(share: Estimate | None) -> float | None:
    return share.value if share is not None and share.is_known else None


FIGURES: dict[str, Callable[[CaseResult], float | None]] = {
    "p50": lambda c: c.load.latency.p50_ms,
    "p90": lambda c: c.load.latency.p90_ms,
    "p99": lambda c: c.load.latency.p99_ms,
    "max": lambda c: c.load.latency.max_ms,
    "accuracy": lambda c: _value(c.quality.accuracy),
    "coverage": lambda c: _value(c.quality.coverage),
    "risk": lambda c: _value(c.quality.risk),
    "agreement": lambda c: _value(c.quality.agreement),
    "cost": lambda c: c.quality.cost,
    "accuracy_under_load": lambda c: _value(c.under_load.accuracy),
    "agreement_under_load": lambda c: _value(c.under_load.agreement),
    "good": lambda c: c.under_load.good,
    "in_time": lambda c: c.under_load.in_time,
    "degraded": lambda c: c.under_load.degraded,
    "shed": lambda c: c.under_load.shed,
    "errors": lambda c: c.load.num_errors / c.load.num_requests,
    "requests_per_s": lambda c: c.load.requests_per_s,
    "rows_per_s": lambda c: c.load.rows_per_s,
    "capacity": lambda c: None if c.capacity is None else c.capacity.rows_per_s,
}
LATENCIES = ("p50", "p90", "p99", "max")
NO_SHARES = (*LATENCIES, "cost", "requests_per_s", "rows_per_s", "capacity")


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """`contender` None holds for all."""

    text: str
    contender: str | None
    figure: str
    sign: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    assertion: Assertion
    holds: bool
    detail: str


def parse_assertion(text: str) -> Assertion:
    """ConfigError says what is wrong with it."""
    form = FORM.fullmatch(text.strip())
    if form is None:
        raise ConfigError(f"--assert {text!r} is not FIGURE<VALUE, FIGURE>VALUE or CONTENDER:FIGURE<VALUE")
    figure = form["figure"]
    if figure not in FIGURES:
        raise ConfigError(f"--assert {text!r}: no figure {figure!r}; there are: {', '.join(FIGURES)}")
    value = VALUE.fullmatch(form["value"].strip())
    if value is None or not _is_number(value[1]) or not _fits(value[2], figure):
        raise ConfigError(f"--assert {text!r}: {form['value']!r} is no value for {figure}")
    return Assertion(
        text=text,
        contender=form["contender"],
        figure=figure,
        sign=form["sign"],
        value=float(value[1]) * UNITS[value[2]],
    )


def _fits(unit: str, figure: str) -> bool:
    if unit == "%":
        return figure not in NO_SHARES
    return not unit or figure in LATENCIES


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def judged(assertions: Sequence[Assertion], results: Results) -> list[Verdict]:
    """One for each assertion: it holds where it does for every case that it is about. A figure that is not
    known holds nothing."""
    return [_verdict(assertion, results) for assertion in assertions]


def _verdict(assertion: Assertion, results: Results) -> Verdict:
    cases = [c for c in results.cases if assertion.contender in (None, c.contender)]
    seen = [(case.name, FIGURES[assertion.figure](case)) for case in cases]
    failed = [(name, value) for name, value in seen if not _holds(assertion, value)]
    told = ", ".join(f"{name} {_figure(value)}" for name, value in failed or seen)
    return Verdict(assertion=assertion, holds=not failed, detail=told)


def _holds(assertion: Assertion, value: float | None) -> bool:
    return value is not None and OPERATORS[assertion.sign](value, assertion.value)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
