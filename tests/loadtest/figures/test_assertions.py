import math
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loadtest.errors import ConfigError
from loadtest.figures.assertions import judged, parse_assertion
from loadtest.figures.results import Results


@pytest.mark.parametrize(
    ("text", "contender", "figure", "sign", "value"),
    [
        ("p99<50ms", None, "p99", "<", 50.0),
        ("p50<=0.2s", None, "p50", "<=", 200.0),
        ("max < 900us", None, "max", "<", 0.9),
        ("window:agreement>0.98", "window", "agreement", ">", 0.98),
        ("a: b:shed<=1%", "a: b", "shed", "<=", 0.01),
        ("capacity>=1e3", None, "capacity", ">=", 1000.0),
    ],
)
def test_assertions_are_read(text: str, contender: str | None, figure: str, sign: str, value: float) -> None:
    assertion = parse_assertion(text)
    assert (assertion.contender, assertion.figure, assertion.sign) == (contender, figure, sign)
    assert assertion.value == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p99",
        "p99=5",
        "p99<",
        "p99<fast",
        "p99<5<6",
        "lag<1",
        "p99<1e999",
        "capacity>=90%",
        "p99<50%",
        "accuracy<5s",
    ],
)
def test_what_is_no_assertion_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--assert"):
        parse_assertion(text)


def results(**p99_ms: float) -> Results:
    cases = [
        SimpleNamespace(
            name=f"{name} over http",
            contender=name,
            load=SimpleNamespace(latency=SimpleNamespace(p99_ms=value)),
            capacity=None,
        )
        for name, value in p99_ms.items()
    ]
    return cast(Any, SimpleNamespace(cases=cases))


def test_an_assertion_holds_where_it_does_for_every_case_that_it_is_about() -> None:
    seen = results(window=20.0, full=80.0)
    everyone, one = (parse_assertion(text) for text in ("p99<50ms", "window:p99<50ms"))
    verdicts = judged([everyone, one], seen)
    assert [verdict.holds for verdict in verdicts] == [False, True]
    assert verdicts[0].detail == "full over http 80"


def test_the_bound_itself_and_what_has_no_end() -> None:
    assert judged([parse_assertion("p99<=20ms")], results(window=20.0))[0].holds
    assert not judged([parse_assertion("p99<20ms")], results(window=20.0))[0].holds
    assert not judged([parse_assertion("p99<1s")], results(window=math.inf))[0].holds


def test_what_is_not_known_holds_nothing() -> None:
    (verdict,) = judged([parse_assertion("capacity>0")], results(window=1.0))
    assert not verdict.holds
    assert verdict.detail == "window over http unknown"
