"""Addresses of collectors."""

import pytest

from serving.config import BadSetting, TraceConfig
from serving.trace_endpoint import is_plain_url, spans_url


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("https://[::1]", "https://[::1]/v1/traces"),
        ("https://collector/own", "https://collector/own"),
        ("https://collector/own/", "https://collector/own/"),
    ],
)
def test_spans_go_to_otlps_path_or_the_one_that_is_given(endpoint: str, url: str) -> None:
    assert is_plain_url(endpoint)
    assert spans_url(endpoint) == url


@pytest.mark.parametrize(
    "text",
    [
        "collector:4318",
        "collector",
        "grpc://collector:4317",
        "http://",
        "http:///v1/traces",
        "http://collector:x",
        "http://collector:70000",
        "http://[::1",
        "http://me:secret@collector",
        "http://me@collector",
        "http://@collector",
        "http://collector/?key=secret",
        "http://collector/#part",
    ],
)
def test_what_is_no_plain_url_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match=r"^otlp_endpoint is .*; it must be an http:// or https:// URL"):
        TraceConfig(otlp_endpoint=text)


def test_a_share_is_of_something() -> None:
    with pytest.raises(BadSetting, match=r"^trace_share is 0.5; it must be given with --otlp-endpoint"):
        TraceConfig(trace_share=0.5)
    for share in (-0.1, 1.1):
        with pytest.raises(BadSetting, match=r"it must be from 0 to 1"):
            TraceConfig(otlp_endpoint="http://a", trace_share=share)
