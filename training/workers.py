"""Members trained side by side, each in a process of its own."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, TypeVar

from tqdm import tqdm

from training.errors import StoppedError, TrainingError, WorkerError
from training.interrupt import SIGNALS

TERMINATION_S = 60.0
"""An update may be under way, and then a checkpoint, before a worker heeds."""

ORPHANED = 1

Task = TypeVar("Task")
Result = TypeVar("Result")


def num_cores() -> int:
    return len(os.sched_getaffinity(0))


def prepare(jobs: int) -> None:
    """What must precede the import of torch: idle threads are to sleep rather than spin, and the server that
    workers come from imports it at the same time as this process.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Under torchrun the processes are there already.
    if jobs > 1 and "WORLD_SIZE" not in os.environ:
        warm_up()


def warm_up() -> None:
    """Starts the server that workers are forked from: it imports torch while the caller does so too."""
    multiprocessing.set_forkserver_preload(["training.members"])
    # First, as it lets go of the signals when it is started.
    resource_tracker.ensure_running()
    with _signals_held():
        forkserver.ensure_running()


def run_all(function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int) -> list[Result]:
    """Results in the order of the tasks. The first error ends all: workers at work are terminated."""
    if jobs == 1:
        return [function(task) for task in tasks]
    warm_up()
    context = multiprocessing.get_context("forkserver")
    # One lock for all bars, or they would write over each other.
    lock = context.RLock()
    results: dict[int, Result] = {}
    working: dict[Connection, tuple[int, BaseProcess]] = {}
    waiting = iter(enumerate(tasks))
    try:
        while len(results) < len(tasks):
            while len(working) < jobs and (following := next(waiting, None)):
                number, task = following
                receiver, sender = context.Pipe(duplex=False)
                started = context.Process(target=_work, args=(sender, lock, function, task))
                working[receiver] = number, started
                started.start()
                sender.close()
            ready = wait(list(working))
            for receiver, (number, process) in [*working.items()]:
                if receiver in ready:
                    results[number] = _result(receiver, process)
                    del working[receiver]
    finally:
        # Whoever still tells of a result need not wait until it is heard.
        for receiver in working:
            receiver.close()
        _terminate([process for _, process in working.values()])
    return [results[number] for number in range(len(tasks))]


def _result(receiver: Connection, process: BaseProcess) -> Any:
    with receiver:
        try:
            result, error = receiver.recv()
        except EOFError:
            raise WorkerError(
                "a process died while it trained (out of memory?); --resume goes on from its last checkpoint"
            ) from None
    process.join()
    if isinstance(error, StoppedError):
        # A terminal's Ctrl-C reaches the workers too, and one may have heeded it before the trainer.
        raise KeyboardInterrupt from error
    if error is not None:
        raise error
    return result


def _work(sender: Connection, lock: Any, function: Callable[[Task], Result], task: Task) -> None:
    """All that a worker does. It is a child of the fork server: nothing else ends it with the trainer."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    tqdm.set_lock(lock)
    result, error = None, None
    try:
        result = function(task)
    except BaseException as raised:
        error = raised
        if not isinstance(raised, TrainingError | KeyboardInterrupt):
            # The trace is lost on the way to the trainer.
            raised.add_note("".join(traceback.format_exception(raised)))
    _ignore_signals()
    # Nobody listens any more where the trainer was told to end.
    with suppress(BrokenPipeError):
        sender.send((result, error))


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Unwinds once: Ctrl-C reaches a worker by its terminal, and by the trainer as SIGTERM."""
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(ORPHANED)


@contextmanager
def _signals_held() -> Iterator[None]:
    """What is started meanwhile is told to end only when it lets itself be: no trace of half an import."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _terminate(processes: Iterable[BaseProcess]) -> None:
    """Returns when they are gone: none may still write into a folder that is about to be removed."""
    started = [process for process in processes if process.pid is not None]
    try:
        for process in started:
            process.terminate()
        ends_at = time.monotonic() + TERMINATION_S
        for process in started:
            process.join(max(0.0, ends_at - time.monotonic()))
    finally:
        # Too slow, or somebody asked a second time.
        for process in started:
            if process.is_alive():
                process.kill()
            process.join()
