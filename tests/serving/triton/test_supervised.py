"""The bundled Triton's life beside a server's."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from serving.backoff import Backoff
from serving.errors import StartupError
from serving.triton import installation, supervised
from serving.triton.bundled import QUICK
from serving.triton.config import BundledConfig
from serving.triton.supervised import State, Supervised
from tests.servers import ROOT
from tests.serving.triton.models import Model, write_models
from tests.triton.processes import group, shared_memory, until


@pytest.fixture(scope="module")
def repository(installed: None, made: dict[str, Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder, {"image": made["image"]})
    return folder


def test_nothing_of_it_is_left(repository: Path, tmp_path: Path) -> None:
    before = shared_memory()
    triton = Supervised(BundledConfig(repository=repository, log=tmp_path / "log", arguments=(QUICK,)))
    assert triton.state is State.STARTING
    address = triton.start()
    assert triton.server is not None
    assert address == triton.server.grpc
    assert triton.state is State.READY
    assert shared_memory() > before
    assert len(group(triton.server.process.pid)) > 1
    triton.stop()
    assert triton.state is State.STOPPED
    assert triton.num_deaths == 0
    assert triton.server.process.returncode == 0, "it was not asked first"
    assert shared_memory() == before
    assert not group(triton.server.process.pid)
    assert "successfully loaded 'image'" in (tmp_path / "log").read_text()
    triton.stop()


def test_one_that_cannot_start(installed: None, tmp_path: Path) -> None:
    """It is not tried again: who starts the server hears why."""
    triton = Supervised(BundledConfig(repository=tmp_path / "nowhere"))
    with pytest.raises(StartupError, match=r"(?s)^Triton ended with 1\n.*failed to stat file"):
        triton.start()
    triton.stop()
    assert (triton.state, triton.num_deaths) == (State.STOPPED, 0)


def test_a_log_that_cannot_be_written(repository: Path, tmp_path: Path) -> None:
    triton = Supervised(BundledConfig(repository=repository, log=tmp_path / "no" / "log"))
    with pytest.raises(StartupError, match=r"/no/log: No such file or directory$"):
        triton.start()


def test_it_can_be_stopped_while_it_starts(repository: Path) -> None:
    before = shared_memory()
    triton = Supervised(BundledConfig(repository=repository))
    with ThreadPoolExecutor(1) as threads:
        starting = threads.submit(triton.start)
        time.sleep(0.3)
        triton.stop()
        with pytest.raises(StartupError, match="Triton was stopped before it was ready"):
            starting.result(30)
    assert triton.state is State.STOPPED
    assert shared_memory() == before


def test_it_is_started_again_until_it_stays(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While its repository is not there, say."""
    monkeypatch.setattr(supervised, "Backoff", partial(Backoff, first_s=0.1))
    folder, aside = tmp_path / "models", tmp_path / "aside"
    shutil.copytree(repository, folder)
    triton = Supervised(BundledConfig(repository=folder, arguments=(QUICK,)))
    triton.start()
    assert triton.server is not None
    first = triton.server
    folder.rename(aside)
    os.kill(first.process.pid, signal.SIGKILL)
    until(lambda: triton.num_deaths == 3)
    assert triton.state is not State.READY
    aside.rename(folder)
    until(lambda: triton.state is State.READY)
    assert triton.server.grpc == first.grpc
    triton.stop()
    told = [record.getMessage() for record in caplog.records if record.name == "exitgate"]
    pauses = [text for text in told if text.startswith("Triton is started again")]
    assert pauses[:3] == [f"Triton is started again in {pause} s" for pause in ("0.1", "0.2", "0.4")]
    assert any("failed to stat file" in text for text in told)


def test_its_last_words_come_into_our_log(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where no file was named for them. What it had no time to remove is removed."""
    before = shared_memory()
    triton = Supervised(BundledConfig(repository=repository, arguments=(QUICK,)))
    triton.start()
    assert triton.server is not None
    os.kill(triton.server.process.pid, signal.SIGKILL)
    until(lambda: triton.num_deaths == 1)
    assert shared_memory() == before
    triton.stop()
    (told,) = [text for text in caplog.messages if text.startswith("Triton ended with -9")]
    assert "Started GRPCInferenceService" in told


def test_it_ends_with_its_server_even_if_that_is_killed(repository: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from serving.triton.config import BundledConfig; from serving.triton.supervised import Supervised\n"
        "triton = Supervised(BundledConfig(repository=Path(sys.argv[1]))); triton.start()\n"
        "print(triton.server.process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(repository)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as server:
        assert server.stdout is not None
        leader = int(server.stdout.readline())
        assert len(group(leader)) > 1
        server.kill()
    until(lambda: not group(leader))


def test_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    triton = Supervised(BundledConfig(repository=tmp_path))
    monkeypatch.setattr(installation, "obstacle", lambda: None)
    monkeypatch.setattr(installation, "TRITON", tmp_path / "nothing")
    with pytest.raises(StartupError, match=r"^\.venv-triton has no Triton .*: `make triton` installs it$"):
        triton.start()
    monkeypatch.setattr(installation, "obstacle", lambda: "it is Tuesday")
    with pytest.raises(StartupError, match=r"^no Triton here: it is Tuesday$"):
        triton.start()
    triton.stop()


def test_an_illegal_move_raises(tmp_path: Path) -> None:
    triton = Supervised(BundledConfig(repository=tmp_path))
    with pytest.raises(AssertionError, match="Triton was starting, and cannot be starting now"):
        triton._move(State.STARTING)


def test_a_stop_that_comes_before_the_start_ends_it(repository: Path) -> None:
    triton = Supervised(BundledConfig(repository=repository))
    triton.stop()
    with pytest.raises(StartupError, match="stopped before it was started"):
        triton.start()
