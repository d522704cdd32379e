"""Which requests are traced, and as part of which trace."""

import random

import pytest

from serving.trace_context import Parent, Sampler, parent_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("text", "is_sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f" 00-{TRACE}-{SPAN}-01\t", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_a_traceparent_is_read(text: str, is_sampled: bool) -> None:
    assert parent_of(text) == Parent(int(TRACE, 16), int(SPAN, 16), is_sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n00",
        f"00-{TRACE[1:]}\u0661-{SPAN}-01",
    ],
)
def test_what_is_no_traceparent_is_as_none(text: str) -> None:
    assert parent_of(text) is None
    trace = Sampler(1.0, random.Random(0)).trace(text, 0.0)
    assert trace is not None
    assert trace.parent_id is None


def test_a_caller_decides() -> None:
    for share in (0.0, 1.0):
        sampler = Sampler(share, random.Random(0))
        trace = sampler.trace(f"00-{TRACE}-{SPAN}-01", 7.0)
        assert trace is not None
        assert (trace.trace_id, trace.parent_id, trace.started_s) == (int(TRACE, 16), int(SPAN, 16), 7.0)
        assert trace.span_id not in (0, trace.parent_id)
        assert sampler.trace(f"00-{TRACE}-{SPAN}-00", 7.0) is None


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.25, 200, 300), (1.0, 1000, 1000)])
def test_a_share_of_the_others_is_drawn(share: float, least: int, most: int) -> None:
    sampler = Sampler(share, random.Random(0))
    traces = [trace for _ in range(1000) if (trace := sampler.trace("", 0.0)) is not None]
    assert least <= len(traces) <= most
    assert len({trace.trace_id for trace in traces} | {trace.span_id for trace in traces}) == 2 * len(traces)
