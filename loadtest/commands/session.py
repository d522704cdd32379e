"""How a command runs: on a fast loop with a lively pacer, its report published only when it is whole."""

import argparse
import asyncio
import shlex
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from loadtest.folder import published
from loadtest.generator.process import SWITCH_INTERVAL_S
from loadtest.progress import Progress
from loadtest.raw import RawFiles
from loadtest.report.circumstances import Circumstances, this_machine

T = TypeVar("T")


def add_report(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="the report's folder")
    group.add_argument("--overwrite", action="store_true", help="replace the report that is there")


@dataclass(frozen=True)
class Session:
    """`folder` is where the report is written, before it is published."""

    folder: Path
    around: Circumstances

    def measure(self, run: Callable[[Progress, RawFiles], Coroutine[Any, Any, T]]) -> T:
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(run(Progress(), RawFiles(self.folder)))
        finally:
            sys.setswitchinterval(before)


@contextmanager
def session(options: argparse.Namespace, command: Sequence[str]) -> Iterator[Session]:
    """`command` is what was typed after `python -m loadtest`."""
    around = Circumstances(
        command=shlex.join(["python", "-m", "loadtest", *command]),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
    )
    with published(options.out, overwrite=options.overwrite) as folder:
        yield Session(folder, around)
