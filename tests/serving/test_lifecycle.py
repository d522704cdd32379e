"""Starting, refusing to start, and reloading and stopping without losing an answer."""

import asyncio
import hashlib
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from benchmarks.keep_alive import Outcome
from benchmarks.reloads import RELOADING, reload_under_load
from benchmarks.stops import stop_under_load
from benchmarks.two_versions import TwoVersions, two_versions
from serving.__main__ import main
from tests.repositories import Repository, classifier
from tests.servers import serving
from tests.serving.followed import followed
from tests.serving.in_process import over_the_wire
from tests.serving.raw_http import answer, connection, head, is_closed


@pytest.fixture
def copy(repository: Repository, tmp_path: Path) -> Path:
    target = tmp_path / "repository"
    shutil.copytree(repository.path, target)
    return target


def rewrite(folder: Path, change: Callable[[dict], None]) -> None:
    file = folder / "digits.cascade.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def remove_member(folder: Path) -> None:
    (folder / "digits-1" / "1" / "model.onnx").unlink()


def change_member(folder: Path) -> None:
    (folder / "digits-1" / "1" / "model.onnx").write_bytes(b"something else")


def remove_cascade(folder: Path) -> None:
    (folder / "digits.cascade.json").unlink()


REFUSALS: list[tuple[Callable[[Path], None], str]] = [
    (remove_member, "member 'digits-1': .*model.onnx: No such file"),
    (change_member, "is not the file that 'digits' was made with"),
    (remove_cascade, "holds no .*cascade.json; `python -m export` makes one"),
    (shutil.rmtree, "no such folder"),
    (lambda folder: rewrite(folder, lambda d: d.update(format_version=9)), "format_version 9 is unknown"),
    (
        lambda folder: rewrite(folder, lambda d: d.update(default_policy="x")),
        "default_policy 'x' is no policy",
    ),
    (lambda folder: (folder / "digits.cascade.json").write_text("{") and None, "not JSON"),
    (
        lambda folder: rewrite(folder, lambda d: d["inputs"][0].update(datatype="FP32")),
        r"takes \{'image': 'tensor\(uint8\)'\}; its cascade says \{'image': 'tensor\(float\)'\}",
    ),
    (
        lambda folder: rewrite(folder, lambda d: d["members"][0].update(output="luck")),
        "has no output 'luck', only logits",
    ),
    (
        lambda folder: rewrite(folder, lambda d: d.update(classes=["a", "b"])),
        r"member 'digits-0' gave shape \(1, 10\) for 1 rows",
    ),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSALS)
def test_a_bad_repository_is_refused_in_one_line(
    spoil: Callable[[Path], None], message: str, copy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil(copy)
    assert main([str(copy), "--http-port", "0", "--grpc-port", "0"]) == 2
    error = capfd.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert re.search(message, lines[0]), lines[0]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_port_in_use_is_refused(
    protocol: str, repository: Repository, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = {"http": "0", "grpc": "0", protocol: port}
        arguments = [str(repository.path), "--http-port", ports["http"], "--grpc-port", ports["grpc"]]
        assert main(arguments) == 2
    error = capfd.readouterr().err
    assert f"port {port} on 127.0.0.1" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "--host is '0.0.0.0'; it must be a loopback address"),
        (["--workers", "0"], "--workers is 0; it must be positive"),
        (["--http-port", "70000"], "--http-port is 70000; it must be a port"),
        (["--max-body-bytes", "0"], "--max-body-bytes is 0"),
        (["--grace", "inf"], "--grace is inf"),
        (["--http-port", "7000", "--grpc-port", "7000"], "--grpc-port is 7000; it must be another"),
    ],
)
def test_bad_flags_are_refused(
    arguments: list[str], message: str, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(repository.path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_sigterm_answers_every_accepted_request(repository: Repository) -> None:
    """Clients keep sending until they are turned away; whatever was accepted is answered right."""
    answered: list[threading.Thread] = []
    turned_away: list[threading.Thread] = []
    wrong: list[int] = []
    expected = repository.scores.outputs[0].argmax(axis=1)

    def send(module, address: str, row: int, stop: threading.Event) -> None:
        with module.InferenceServerClient(address) as client:
            image = repository.test.image[row : row + 1]
            tensor = module.InferInput("image", [1, 8, 8, 1], "UINT8").set_data_from_numpy(image)
            while not stop.is_set():
                try:
                    result = client.infer("digits", [tensor], parameters={"policy": "first"})
                except (InferenceServerException, OSError):
                    turned_away.append(threading.current_thread())
                    return
                answered.append(threading.current_thread())
                if result.as_numpy("label")[0] != expected[row]:
                    wrong.append(row)

    with serving(repository.path) as server:
        stop = threading.Event()
        threads = [
            threading.Thread(target=send, args=(module, address, row, stop))
            for row in range(4)
            for module, address in ((triton_http, server.http), (triton_grpc, server.grpc))
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 30
        while len(set(answered)) < len(threads):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        code = server.terminate()
        for thread in threads:
            thread.join(timeout=20)
        stop.set()
        log = "".join(server.output)
    assert code == 0
    assert not any(thread.is_alive() for thread in threads)
    assert set(turned_away) == set(threads)
    assert wrong == []
    assert "Traceback" not in log
    assert "stopped" in log


def test_a_client_that_never_ends_its_request_holds_nobody_up(repository: Repository) -> None:
    with serving(repository.path, "--grace", "1") as server:
        host, port = server.http.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"
            )
            time.sleep(0.2)
            assert server.terminate() == 0
        log = "".join(server.output)
    assert "stopped" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("change", "is_refused"),
    [
        ({}, False),
        ({"sha256": "0" * 64}, True),
        ({"output": "luck"}, True),
        ({"inputs": {"x": "image"}}, False),
    ],
)
def test_cascades_that_share_a_member_must_agree_on_it(
    change: dict[str, object], is_refused: bool, copy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((copy / "digits.cascade.json").read_text())
    document["name"] = "other"
    if "inputs" in change:
        document["inputs"][0]["name"] = "x"
        for member in document["members"]:
            member["inputs"] = change["inputs"]
    document["members"][0] |= change
    for policy in document["policies"].values():
        del policy["members"]
    (copy / "other.cascade.json").write_text(json.dumps(document))
    if is_refused:
        assert main([str(copy), "--http-port", "0", "--grpc-port", "0"]) == 2
        assert "share member 'digits-0' version 1, and describe it differently" in capfd.readouterr().err
        return
    with serving(copy) as server, triton_http.InferenceServerClient(server.http) as client:
        assert client.is_model_ready("digits")
        assert client.is_model_ready("other")


def test_a_lying_member_decides_nothing(copy: Path) -> None:
    """A first member that gives infinities for bright images: those rows are answered by the next one."""
    weights = np.full((64, 10), np.float32(3e38))
    model = classifier(weights, np.zeros(10, np.float32))
    (copy / "digits-0" / "1" / "model.onnx").write_bytes(model)

    def pin(document: dict) -> None:
        document["members"][0]["sha256"] = hashlib.sha256(model).hexdigest()
        for policy in document["policies"].values():
            del policy["members"]

    rewrite(copy, pin)
    with serving(copy) as server, triton_http.InferenceServerClient(server.http) as client:
        images = np.stack([np.full((8, 8, 1), 255, np.uint8), np.zeros((8, 8, 1), np.uint8)])
        both = triton_http.InferInput("image", [2, 8, 8, 1], "UINT8").set_data_from_numpy(images)
        answer = client.infer("digits", [both], parameters={"policy": "first"})
        assert answer.as_numpy("exit_reason").tolist() == [b"member_failed", b"first"]
        assert answer.as_numpy("exit_stage").tolist() == [2, 1]
        assert answer.get_response()["parameters"]["degraded"] is True
        bright = triton_http.InferInput("image", [1, 8, 8, 1], "UINT8").set_data_from_numpy(images[:1])
        second = client.infer("digits-1", [bright])
        assert answer.as_numpy("label")[0] == second.as_numpy("label")[0]
        with pytest.raises(InferenceServerException, match="gave what can be no prediction") as caught:
            client.infer("digits", [bright], parameters={"strict": True})
        assert caught.value.status() == "500"


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> TwoVersions:
    return two_versions(tmp_path_factory.mktemp("versions") / "repository")


def test_a_reload_loses_no_request_and_answers_none_by_two_versions(versions: TwoVersions) -> None:
    """Both protocols, a few times; benchmarks.reloads does it at length."""
    path = versions.file.parent

    async def scenario() -> None:
        async with followed(path, reload_s=0.02) as it, over_the_wire(it.engine, path) as wire:
            addresses = {"http": wire.http, "grpc": wire.grpc}
            running = asyncio.create_task(it.watcher.run())
            load, taken_up_s = await reload_under_load(addresses, versions, 6, spell_s=0.2)
            running.cancel()
        assert len(taken_up_s) == 6
        assert {sample.reply.outcome for sample in load.samples} == {Outcome.ANSWERED}
        assert all(sample.is_right for sample in load.samples)
        assert load.backwards == 0
        assert {sample.reply.version for sample in load.samples} == set(range(1, 8))
        protocols = {sample.protocol for sample in load.samples if sample.phase == RELOADING}
        assert protocols == {"http", "grpc"}

    asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize("seed", range(3))
def test_a_stop_answers_or_refuses_what_was_sent(seed: int, versions: TwoVersions) -> None:
    """Clients that keep their connections and go on until nobody listens any more."""
    stop = stop_under_load(versions, seed)
    assert stop.is_clean, stop
    assert all(told.outcomes[Outcome.ANSWERED] for told in stop.told.values())


def test_a_request_on_its_way_when_the_server_stops_is_refused_in_words(repository: Repository) -> None:
    """Its connection was idle, and is closed after that answer."""
    image = repository.test.image[:1]
    body = json.dumps(
        {
            "inputs": [
                {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1], "data": image.ravel().tolist()}
            ]
        }
    ).encode()
    message = head(f"Content-Length: {len(body)}") + body
    with serving(repository.path) as server, connection(server.http) as kept, connection(server.http) as idle:
        kept.sendall(message)
        assert answer(kept)[0] == 200
        idle.sendall(message)
        assert answer(idle)[0] == 200
        stopping = threading.Thread(target=server.terminate)
        stopping.start()
        time.sleep(0.3)
        kept.sendall(message)
        status, headers, content = answer(kept)
        assert (status, headers["connection"]) == (503, "close")
        assert json.loads(content) == {"error": "the server is stopping"}
        assert is_closed(kept)
        assert is_closed(idle)
        stopping.join()
        assert server.terminate() == 0
