"""`python -m serving --backend triton --processes 2`: two processes at the same ports."""

import os
import random
import re
import signal
import socket
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from cascade.replay import replay
from serving.backoff import Backoff
from serving.config import BackendConfig, BadSetting, ServerConfig
from serving.errors import StartupError
from serving.processes.ports import reserve
from tests.conformance.targets import shared_repository
from tests.repositories import Repository
from tests.servers import Server, launch, serving
from tests.triton.processes import until

IN_TRITON = BackendConfig(backend="triton", triton_url="a:1")
CHILD = "serving.processes.child"
ROWS = 16
FLAGS = ("--backend", "triton", "--start-triton", "--processes", "2")


@pytest.fixture(scope="module")
def repository(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return shared_repository(tmp_path_factory.mktemp("processes"))


def free_ports() -> int:
    """The first of two that nobody has, below those that the kernel gives to clients."""
    for first in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", first))
            two.bind(("127.0.0.1", first + 1))
            return first
    raise AssertionError("no two ports are free")


@pytest.fixture
def own_ports() -> int:
    return free_ports()


@pytest.fixture
def server(repository: Repository, own_ports: int) -> Iterator[Server]:
    with serving(repository.path, *FLAGS, "--own-ports", str(own_ports)) as running:
        yield running


def descendants(parent: int) -> dict[int, str]:
    """Living processes below that one, with their commands."""
    found: dict[int, str] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, above = status.read_text().rpartition(")")[2].split()[:2]
            if int(above) == parent and state != "Z":
                number = int(status.parent.name)
                found[number] = (status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found |= descendants(number)
    return found


def children(server: Server) -> list[int]:
    return [number for number, command in descendants(server.process.pid).items() if CHILD in command]


def is_alive(number: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def ask_http(server: Server, image: np.ndarray) -> np.ndarray:
    """Over a connection of its own."""
    tensor = triton_http.InferInput("image", list(image.shape), "UINT8").set_data_from_numpy(image)
    with triton_http.InferenceServerClient(server.http) as client:
        return np.asarray(client.infer("digits", [tensor]).as_numpy("probabilities"))


def ask_grpc(server: Server, image: np.ndarray) -> np.ndarray:
    """Over a connection of its own: gRPC would let channels share one."""
    tensor = triton_grpc.InferInput("image", list(image.shape), "UINT8").set_data_from_numpy(image)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with triton_grpc.InferenceServerClient(server.grpc, channel_args=options) as client:
        return np.asarray(client.infer("digits", [tensor]).as_numpy("probabilities"))


def answered(port: int) -> int:
    """Requests, as one process counts them at its own port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    found = re.search(r'exitgate_requests_total\{model="digits",outcome="success"\} (\S+)', text)
    return 0 if found is None else int(float(found[1]))


def test_both_answer_on_both_protocols_as_one_would(
    repository: Repository, server: Server, own_ports: int
) -> None:
    cascade, image = repository.cascade, repository.test.image[:ROWS]
    rows = repository.scores.rows(np.arange(ROWS))
    expected = replay(cascade.policies[cascade.default_policy], cascade.stages, rows).probabilities
    before = [0, 0]
    for ask in (ask_http, ask_grpc):
        for _ in range(30):  # all to one of them: once in 2^29
            np.testing.assert_allclose(ask(server, image), expected, atol=1e-5)
        counts = [answered(own_ports), answered(own_ports + 1)]
        shares = [count - old for count, old in zip(counts, before, strict=True)]
        assert sum(shares) == 30
        assert min(shares) > 0
        before = counts
    for path in ("/metrics", "/v2/console/state"):
        with pytest.raises(HTTPError, match="501") as refusal:
            urllib.request.urlopen(f"http://{server.http}{path}")
        assert b"several processes share this port" in refusal.value.read()
        refusal.value.close()
        urllib.request.urlopen(f"http://127.0.0.1:{own_ports + 1}{path}").close()
    told = "".join(server.output)
    assert "2 processes share the ports\nready: http" in told
    assert told.count("ready: http") == 1


def test_one_that_is_killed_comes_back_and_the_other_answers_meanwhile(
    repository: Repository, server: Server
) -> None:
    image = repository.test.image[:ROWS]
    first, second = children(server)
    os.kill(first, signal.SIGKILL)
    # A zombie may have threads that are still on their way, and a listener with them, until it is reaped.
    until(lambda: not Path(f"/proc/{first}").exists())
    for _ in range(10):
        ask_http(server, image)
        ask_grpc(server, image)
    until(lambda: "".join(server.output).count(" is ready") == 3)
    assert second in children(server)
    assert len(children(server)) == 2
    assert "ended with -9; process" in "".join(server.output)
    assert server.terminate() == 0


def test_sigterm_loses_no_accepted_request(repository: Repository, server: Server) -> None:
    """Who has sent has an answer, or a refusal in words."""
    image = repository.test.image[:ROWS]
    with triton_grpc.InferenceServerClient(server.grpc) as client:
        tensor = triton_grpc.InferInput("image", list(image.shape), "UINT8").set_data_from_numpy(image)
        answers: list[Any] = []
        arrived = threading.Event()

        def arrive(result: object, error: object) -> None:
            answers.append(error)
            if len(answers) == 50:
                arrived.set()

        client.infer("digits", [tensor])
        for _ in range(50):
            client.async_infer("digits", [tensor], arrive)
        until(lambda: len(answers) > 0)
        assert server.terminate() == 0
        assert arrived.wait(30)
    assert Counter(str(error) for error in answers if "the server is stopping" not in str(error)) == {
        "None": sum(error is None for error in answers)
    }
    assert sum(error is None for error in answers) > 0
    assert "Traceback" not in "".join(server.output)


def test_nothing_is_left_of_a_parent_that_is_killed(server: Server) -> None:
    below = descendants(server.process.pid)
    assert sum(CHILD in command for command in below.values()) == 2
    assert any("tritonserver" in command for command in below.values())
    server.process.kill()
    until(lambda: not any(map(is_alive, below)))


def refusal_of(repository: Path, *flags: str) -> tuple[int, str]:
    process = launch(repository, "--http-port", "0", "--grpc-port", "0", *flags)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def test_a_process_that_cannot_start_ends_all_with_its_error(repository: Repository, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = refusal_of(repository.path, *FLAGS, "--own-ports", str(port))
    assert code == 2
    assert f"error: HTTP port {port} on 127.0.0.1: Address already in use" in output
    assert "ready: http" not in output


def test_a_port_of_another_server_is_refused_even_if_that_would_share_it() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartupError, match=f"^gRPC port {port} on 127.0.0.1: Address already in use$"):
            reserve("gRPC", "127.0.0.1", port)
    with reserve("HTTP", "127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with pytest.raises(StartupError, match=f"^HTTP port {port} on 127.0.0.1: Address already in use$"):
            reserve("HTTP", "127.0.0.1", port)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"num_processes": 2}, "num_processes is 2; it must be 1 without --backend triton: each process would"),
    ({"num_processes": 0}, "num_processes is 0; it must be positive"),
    ({"own_ports": 90}, "own_ports is 90; it must be given with --processes of 2 or more"),
    (
        {"num_processes": 2, "backend": IN_TRITON, "allow_model_control": True},
        "allow_model_control is True; it must be off with --processes of 2 or more",
    ),
    (
        {"num_processes": 2, "backend": IN_TRITON, "allow_shared_memory": True},
        "allow_shared_memory is True; it must be off with --processes of 2 or more",
    ),
    (
        {"num_processes": 2, "backend": IN_TRITON, "own_ports": 7999},
        "own_ports is 7999; it must be the fi",
    ),
    ({"num_processes": 2, "backend": IN_TRITON, "own_ports": 65535}, "own_ports is 65535; it must be the fi"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_settings_that_do_not_go_with_several_processes(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSetting, match=f"^{re.escape(message)}"):
        ServerConfig(repository=Path("r"), **given)


def test_pauses_double_and_begin_anew_after_one_that_lived() -> None:
    backoff = Backoff(first_s=0.5, longest_s=2.0, steady_s=60.0)
    assert [backoff.pause_s(1.0) for _ in range(4)] == [0.5, 1.0, 2.0, 2.0]
    assert [backoff.pause_s(61.0), backoff.pause_s(1.0)] == [0.5, 1.0]
