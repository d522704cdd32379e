"""Starting, refusing to start, and stopping without losing an answer."""

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

from serving.__main__ import main
from tests.repositories import Repository, classifier
from tests.servers import serving


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
        (["--host", "0.0.0.0"], "host is '0.0.0.0'; it must be a loopback address"),
        (["--workers", "0"], "num_workers is 0; it must be positive"),
        (["--http-port", "70000"], "http_port is 70000; it must be a port"),
        (["--max-body-bytes", "0"], "max_body_bytes is 0"),
        (["--grace", "inf"], "grace_s is inf"),
        (["--http-port", "7000", "--grpc-port", "7000"], "grpc_port is 7000; it must be another"),
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


def test_a_lying_member_fails_its_requests_and_the_server_lives(copy: Path) -> None:
    """A member that gives NaN for bright images: those requests get an error, others their answer."""
    weights = np.full((64, 10), np.float32(3e38))
    model = classifier(weights, np.zeros(10, np.float32))
    (copy / "digits-0" / "1" / "model.onnx").write_bytes(model)

    def pin(document: dict) -> None:
        document["members"][0]["sha256"] = hashlib.sha256(model).hexdigest()
        for policy in document["policies"].values():
            del policy["members"]

    rewrite(copy, pin)
    with serving(copy) as server, triton_http.InferenceServerClient(server.http) as client:
        bright = triton_http.InferInput("image", [1, 8, 8, 1], "UINT8")
        bright.set_data_from_numpy(np.full((1, 8, 8, 1), 255, np.uint8))
        dark = triton_http.InferInput("image", [1, 8, 8, 1], "UINT8")
        dark.set_data_from_numpy(np.zeros((1, 8, 8, 1), np.uint8))
        with pytest.raises(InferenceServerException, match="gave numbers that are not finite") as caught:
            client.infer("digits", [bright])
        assert caught.value.status() == "500"
        assert client.infer("digits", [dark]).as_numpy("label").shape == (1,)
