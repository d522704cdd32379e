import signal
import threading

import pytest

from training.interrupt import SIGNALS, heeding


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_wish(number):
    with pytest.raises(RuntimeError), heeding() as wish:
        assert not wish.is_made
        signal.raise_signal(number)
        assert wish.is_made
        raise RuntimeError("heeded")


def test_a_second_ctrl_c_ends_at_once():
    with pytest.raises(KeyboardInterrupt), heeding():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("went on")


def test_sigterm_may_come_from_several_sides():
    """A scheduler sends it to every process, and the trainer to its workers once more."""
    with pytest.raises(RuntimeError, match="heeded"), heeding() as wish:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert wish.is_made
        raise RuntimeError("heeded")


def test_the_terminal_and_the_parent_may_ask_for_the_same(monkeypatch):
    with pytest.raises(RuntimeError), heeding() as wish:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert wish.signals == {signal.SIGINT, signal.SIGTERM}
        raise RuntimeError("heeded")


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with heeding():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_wish_that_came_too_late_is_not_lost():
    """While the last epoch is validated, say: the next member must not be begun."""
    reached = []
    with pytest.raises(KeyboardInterrupt), heeding():
        signal.raise_signal(signal.SIGINT)
        reached.append("the end")
    assert reached == ["the end"]


def test_a_thread_can_not_be_told_and_changes_nothing():
    before, found = signal.getsignal(signal.SIGINT), []

    def heed():
        with heeding() as wish:
            found.append((wish.is_made, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=heed)
    thread.start()
    thread.join()
    assert found == [(False, before)]
