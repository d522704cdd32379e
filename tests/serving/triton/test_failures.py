"""What gRPC's statuses mean, and who hears what was said."""

import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from serving.errors import Fault, MemberDown, MemberFailed
from serving.triton import channel
from tests.serving.triton.answering import ROWS, answering, member_of

INPUTS = {"numbers": ROWS}
SAID = "it is in\n/srv/models at 10.1.2.3:8001"
ABOUT_ROWS = [grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT]
OTHERS = [status for status in grpc.StatusCode if status not in (*ABOUT_ROWS, grpc.StatusCode.OK)]
TEXTS = {
    grpc.StatusCode.UNAVAILABLE: "is not available",
    grpc.StatusCode.DEADLINE_EXCEEDED: "did not answer in time",
    grpc.StatusCode.NOT_FOUND: "is not loaded",
}


def refusing(status: grpc.StatusCode) -> Any:
    return answering(lambda request, context: context.abort(status, SAID))


@pytest.mark.parametrize("status", OTHERS, ids=lambda status: status.name)
def test_a_status_that_says_nothing_of_the_rows_means_down(
    status: grpc.StatusCode, caplog: pytest.LogCaptureFixture
) -> None:
    with refusing(status) as server, member_of(server.address) as member:
        with pytest.raises(MemberDown) as caught:
            member.run(INPUTS)
        assert len(server.calls) == 1
    assert str(caught.value) == f"member 'sums' {TEXTS.get(status, 'did not answer')}"
    assert caught.value.fault is Fault.UNAVAILABLE
    assert [record.getMessage() for record in caplog.records if record.name == "exitgate"] == [
        f"member sums/7 in Triton: {status.name}: it is in /srv/models at 10.1.2.3:8001"
    ]


@pytest.mark.parametrize("status", ABOUT_ROWS, ids=lambda status: status.name)
def test_a_status_that_may_be_about_the_rows_means_failed(status: grpc.StatusCode) -> None:
    with refusing(status) as server, member_of(server.address) as member:
        with pytest.raises(MemberFailed) as caught:
            member.run(INPUTS)
        assert len(server.calls) == 1
    assert str(caught.value) == "member 'sums' failed; the server's log says why"
    assert not isinstance(caught.value, MemberDown)


def test_the_log_hears_of_it_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    with refusing(grpc.StatusCode.ABORTED) as server, member_of(server.address) as member:

        def run(_: int) -> None:
            with pytest.raises(MemberDown):
                member.run(INPUTS)

        began_s = time.monotonic()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(run, range(40)))
        time.sleep(max(0.0, began_s + 1.1 - time.monotonic()))
        run(40)
    said = [record for record in caplog.records if record.name == "exitgate"]
    assert len(said) <= 1 + time.monotonic() - began_s
    more = [re.search(r"\((\d+) more since it was last said\)$", record.getMessage()) for record in said]
    assert len(said) + sum(int(found[1]) for found in more if found) == 41
    assert all(record.levelno == logging.ERROR for record in said)


def test_a_member_that_takes_too_long_is_given_up() -> None:
    """After the call's own time, or the deadline if that is nearer."""

    def hang(request: Any, context: grpc.ServicerContext) -> Any:
        while context.is_active():
            time.sleep(0.01)
        return b""

    with answering(hang) as server, member_of(server.address, call_timeout_s=0.2) as member:
        for deadline_s in (30.0, 0.1):
            began_s = time.monotonic()
            with pytest.raises(MemberDown, match=r"^member 'sums' did not answer in time$"):
                member.run(INPUTS, began_s + deadline_s)
            assert 0.05 < time.monotonic() - began_s < 10
        assert len(server.calls) == 2


def test_a_closed_channel_is_down_too() -> None:
    with answering() as server:
        with member_of(server.address) as member:
            member.run(INPUTS)
        with pytest.raises(MemberDown, match=r"^member 'sums' is not available$"):
            member.run(INPUTS)


def test_an_answer_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    options = [(name, 1000 if "receive" in name else value) for name, value in channel.OPTIONS]
    monkeypatch.setattr(channel, "OPTIONS", options)
    with (
        answering(lambda request, context: bytes(2000)) as server,
        member_of(server.address) as member,
        pytest.raises(MemberDown, match=r"^member 'sums' did not answer$"),
    ):
        member.run(INPUTS)
