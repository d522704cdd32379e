"""Members trained side by side, each in a process of its own."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from typing import Any, TypeVar

from tqdm import tqdm

from training.errors import WorkerError

TERMINATION_S = 5.0
ORPHANED = 1

Task = TypeVar("Task")
Result = TypeVar("Result")


def warm_up() -> None:
    """Starts the server that workers are forked from: it imports torch while the caller does so too."""
    multiprocessing.set_forkserver_preload(["training.members"])
    forkserver.ensure_running()


def run_all(function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int) -> list[Result]:
    """Results in the order of the tasks. The first error ends all: workers at work are terminated."""
    if jobs == 1:
        return [function(task) for task in tasks]
    context = multiprocessing.get_context("forkserver")
    # One lock for all bars, or they would write over each other.
    lock = context.RLock()
    bystanders = set(multiprocessing.active_children())
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(lock,)) as pool:
        futures = [pool.submit(function, task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()
        except BrokenProcessPool as error:
            raise WorkerError("a process died while it trained a member (out of memory?)") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _terminate(set(multiprocessing.active_children()) - bystanders)
            raise
    return [future.result() for future in futures]


def _begin(lock: Any) -> None:
    """Begins a worker. It is a child of the fork server: nothing else ends it when the trainer is killed."""
    tqdm.set_lock(lock)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(ORPHANED)


def _terminate(processes: set[multiprocessing.process.BaseProcess]) -> None:
    """Returns when they are gone: none may still write into a folder that is about to be removed."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(TERMINATION_S)
