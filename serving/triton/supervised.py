"""The bundled Triton as a part of this server: started with it, started again when it dies, stopped with it.

It keeps its ports, so that the channel to it connects again by itself.
"""

import logging
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack
from enum import Enum
from pathlib import Path

from serving.backoff import Backoff
from serving.errors import StartupError
from serving.triton.bundled import Launch, TritonDidNotStart, TritonServer, command, laid_out, running, start
from serving.triton.config import BundledConfig
from serving.triton.installation import missing, unknown_backends

log = logging.getLogger("exitgate")
LOOK_EVERY_S = 0.1
LOADING = ("--model-control-mode=explicit", "--load-model=*")
"""All that is there when it starts, and when it is started again; later only what it is told to load."""


class State(Enum):
    STARTING = "starting"
    READY = "ready"
    DOWN = "down"
    STOPPED = "stopped"


NEXT: dict[State, set[State]] = {
    State.STARTING: {State.READY, State.DOWN, State.STOPPED},
    State.READY: {State.DOWN},
    State.DOWN: {State.STARTING, State.STOPPED},
    State.STOPPED: set(),
}


class Supervised:
    """Phases: `start`, `stop`; both block. `num_deaths` counts the ends that nobody asked for.

    One thread owns the process; whoever looks at `state` or `server` from elsewhere sees what was true
    a moment ago.
    """

    def __init__(self, config: BundledConfig) -> None:
        self.config = config
        self.state = State.STARTING
        self.num_deaths = 0
        self.server: TritonServer | None = None
        self._stopping = threading.Event()
        self._first: Future[TritonServer] = Future()
        self._thread = threading.Thread(target=self._live, name="triton", daemon=True)

    def start(self) -> str:
        """Wait until it is ready, and say where it answers gRPC. StartupError where it cannot be started."""
        if reason := missing() or unknown_backends(self.config.repository):
            raise StartupError(reason)
        self._thread.start()
        return self._first.result().grpc

    def stop(self) -> None:
        """Nothing of it is left: no process, no shared memory, no temporary folder. Ends a `start` too."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _live(self) -> None:
        """The thread's life."""
        try:
            with laid_out() as folder:
                self._keep_up(self._launch(folder))
            if not self._first.done():
                raise TritonDidNotStart("Triton was stopped before it was started")
        except Exception as error:  # a bug too must be told to who waits for the start
            if self._first.done():
                log.exception("nobody looks after Triton any more")
            else:
                self._first.set_exception(error)
        self.state = State.STOPPED

    def _launch(self, folder: Path) -> Launch:
        return Launch(
            command=command(self.config.repository, folder, (*LOADING, *self.config.arguments)),
            folder=folder,
            log=self.config.log or folder / "triton.log",
            stopping=self._stopping,
        )

    def _keep_up(self, launch: Launch) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            began_s = time.monotonic()
            self._once(launch)
            if self._stopping.is_set():
                return
            self.num_deaths += 1
            pause_s = backoff.pause_s(time.monotonic() - began_s)
            log.warning("Triton is started again in %g s", pause_s)
            self._stopping.wait(pause_s)
            self._move(State.STARTING)

    def _once(self, launch: Launch) -> None:
        """From a start to its end. Only the first must succeed."""
        try:
            with ExitStack() as stack:
                self.server = self._started(launch, stack)
                self._move(State.READY)
                if self._first.done():
                    log.info("Triton is ready again")
                else:
                    self._first.set_result(self.server)
                self._watch(self.server)
        except TritonDidNotStart as error:
            if not self._first.done():
                raise
            log.error("%s", error)
        self._move(State.DOWN)

    def _started(self, launch: Launch, stack: ExitStack) -> TritonServer:
        if self.server is None:
            return start(lambda ports: running(launch, ports), stack)
        ports = [self.server.http_port, self.server.grpc_port]
        return stack.enter_context(running(launch, ports))

    def _watch(self, server: TritonServer) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            if (code := server.process.poll()) is not None:
                tail = "" if self.config.log else f"\n{server.last_lines()}"
                log.error("Triton ended with %d%s", code, tail)
                return

    def _move(self, state: State) -> None:
        if state not in NEXT[self.state]:
            raise AssertionError(f"Triton was {self.state.value}, and cannot be {state.value} now")
        self.state = state
