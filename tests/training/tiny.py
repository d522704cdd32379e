"""Trainings so small that a test can hold many: 64 digits in 8 batches, a model of one convolution."""

import functools
import multiprocessing
import os
import signal
import threading
import traceback

from timm.models import register_model
from torch import nn
from tqdm import tqdm

from training.config import OptimizerConfig, TrainingConfig
from training.interrupt import SIGNALS
from training.models import ModelSpec
from training.seeds import Seeds
from training.selection.config import SelectionConfig
from training.session import Task
from training.workers import warm_up

NUM_BATCHES = 8


@register_model
def tiny_with_dropout(pretrained=False, *, num_classes, in_chans, **others):
    """An update takes a millisecond, and draws from torch's global generator."""
    return nn.Sequential(
        nn.Conv2d(in_chans, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(8 * 36, num_classes),
    )


SPEC = ModelSpec(
    name="tiny_with_dropout", height=8, width=8, channels=1, num_classes=10, mean=(0.3,), std=(0.4,)
)


def make_task(dataset, folder, selection="hard-batch", **settings):
    """On 64 rows of digits; `options` are the selection's."""
    return Task(
        name="tiny",
        folder=folder,
        spec=SPEC,
        training=TrainingConfig(
            batch_size=8,
            selection=SelectionConfig.usual(selection, **settings.pop("options", {})),
            **{
                "epochs": 3,
                "augmentation": "shift",
                "device": "cpu",
                "optimizer": OptimizerConfig(lr=0.05, weight_decay=0.01),
            }
            | settings,
        ),
        seeds=Seeds(seed=3, member=1),
        train=dataset.train.head(64),
        validation=dataset.validation.head(40),
    )


class Nursery:
    """A process that forks others, to be killed or limited, within milliseconds.

    It has imported all that they need and trained nothing: torch's threads don't survive a fork.
    """

    def __init__(self):
        warm_up()
        self._ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("forkserver")
        context.Process(target=_serve, args=(theirs,), daemon=True).start()
        theirs.close()

    def fork(self, work, *arguments):
        """The number of a process that runs work(*arguments)."""
        self._ours.send((work, arguments))
        return self._ours.recv()

    def wait(self, pid):
        """Its exit status, once it has ended; minus the signal that ended it."""
        self._ours.send((None, pid))
        return self._ours.recv()

    def run(self, work, *arguments):
        return self.wait(self.fork(work, *arguments))


@functools.cache
def nursery():
    """One for all tests: its imports take seconds."""
    return Nursery()


def _serve(connection):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    # Its own would be a semaphore, which a killed process leaves behind.
    tqdm.set_lock(threading.RLock())
    while True:
        try:
            work, arguments = connection.recv()
        except EOFError:
            return
        if work is None:
            _, status = os.waitpid(arguments, 0)
            connection.send(os.waitstatus_to_exitcode(status))
        else:
            connection.send(os.fork() or _run(work, arguments))


def _run(work, arguments):
    status = 1
    try:
        work(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
