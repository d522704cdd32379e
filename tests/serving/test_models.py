"""Members called by name, cascades that share them, loading and unloading, over the wire."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from cascade.cascade_file import read_cascade, write_cascade
from cascade.scores import softmax
from tests.repositories import Repository
from tests.servers import Server, serving

CLIENTS = [pytest.param(triton_http, id="http"), pytest.param(triton_grpc, id="grpc")]


def connect(module: ModuleType, server: Server) -> Any:
    return module.InferenceServerClient(server.http if module is triton_http else server.grpc)


def image(module: ModuleType, rows: np.ndarray, name: str = "image") -> Any:
    return module.InferInput(name, list(rows.shape), "UINT8").set_data_from_numpy(rows)


@pytest.mark.parametrize("module", CLIENTS)
def test_a_member_answers_by_its_own_name(module: ModuleType, server: Server, repository: Repository) -> None:
    rows = repository.test.image[:20]
    with connect(module, server) as client:
        named = client.infer(
            "digits-1", [image(module, rows)], outputs=[module.InferRequestedOutput("logits")]
        )
        whole = client.infer("digits-1", [image(module, rows)], model_version="1")
    expected = repository.scores.outputs[1][:20]
    np.testing.assert_allclose(named.as_numpy("logits"), expected, rtol=1e-5)
    assert named.as_numpy("label") is None
    np.testing.assert_allclose(whole.as_numpy("logits"), expected, rtol=1e-5)
    np.testing.assert_allclose(whole.as_numpy("probabilities"), softmax(expected), atol=1e-6)
    assert whole.as_numpy("label").tolist() == expected.argmax(axis=1).tolist()
    assert set(whole.as_numpy("exit_reason").tolist()) == {b"last"}


@pytest.mark.parametrize("module", CLIENTS)
def test_a_member_is_described_as_triton_would(module: ModuleType, server: Server) -> None:
    with connect(module, server) as client:
        assert client.is_model_ready("digits-2")
        kwargs = {"as_json": True} if module is triton_grpc else {}
        metadata = client.get_model_metadata("digits-2", **kwargs)
        with pytest.raises(InferenceServerException, match="has version 1, not '7'"):
            client.get_model_metadata("digits-2", "7")
    first = metadata["outputs"][0]
    assert (first["name"], first["datatype"], [int(extent) for extent in first["shape"]]) == (
        *("logits", "FP32"),
        [-1, 10],
    )
    assert metadata["inputs"][0]["name"] == "image"


@pytest.fixture
def shared(repository: Repository, tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """`digits`, and `other`, whose two stages are two members of it, by other names of the input."""
    path = tmp_path / "repository"
    shutil.copytree(repository.path, path)
    document = json.loads((path / "digits.cascade.json").read_text())
    document |= {
        "name": "other",
        "version": 5,
        "members": document["members"][:2],
        "stages": [["digits-1"], ["digits-0"]],
    }
    document["inputs"][0]["name"] = "pixels"
    for member in document["members"]:
        member["inputs"] = {"pixels": "image"}
    document |= {"policies": {"full": {"kind": "full"}}, "default_policy": "full"}
    (path / "other.cascade.json").write_text(json.dumps(document))
    with serving(path, "--allow-model-control") as server:
        yield server, path


def test_cascades_share_members_and_their_batches(
    shared: tuple[Server, Path], repository: Repository
) -> None:
    server, _ = shared
    rows = repository.test.image[:30]
    with triton_http.InferenceServerClient(server.http) as client:
        other = client.infer("other", [image(triton_http, rows, "pixels")])
        entries = client.get_inference_statistics()["model_stats"]
    assert [entry["name"] for entry in entries] == ["digits", "other", "digits-0", "digits-1", "digits-2"]
    both = (softmax(repository.scores.outputs[0][:30]) + softmax(repository.scores.outputs[1][:30])) / 2
    np.testing.assert_allclose(other.as_numpy("probabilities"), both, atol=1e-6)


@pytest.mark.parametrize("module", CLIENTS)
def test_a_cascade_is_unloaded_and_loaded_again(
    module: ModuleType, shared: tuple[Server, Path], repository: Repository
) -> None:
    server, path = shared
    rows = repository.test.image[:2]
    with connect(module, server) as client:
        client.unload_model("digits")
        assert not client.is_model_ready("digits")
        with pytest.raises(InferenceServerException, match="unknown model 'digits'"):
            client.infer("digits", [image(module, rows)])
        with pytest.raises(InferenceServerException, match="unknown model 'digits-2'"):
            client.infer("digits-2", [image(module, rows)])
        assert client.infer("digits-1", [image(module, rows)]).as_numpy("label").shape == (2,)
        cascade = read_cascade(path / "digits.cascade.json")
        write_cascade(
            path / "digits.cascade.json",
            cascade.with_policy("again", cascade.policies["first"], is_default=True),
        )
        client.load_model("digits")
        response = client.infer("digits", [image(module, rows)]).get_response()
    version = response["model_version"] if module is triton_http else response.model_version
    assert version == "2"


def wait_for(server: Server, text: str) -> None:
    """In the server's log, whose lines come through a pipe."""
    deadline = time.monotonic() + 30
    while text not in "".join(server.output):
        assert time.monotonic() < deadline, server.output
        time.sleep(0.02)


def states(client: Any) -> dict[str, str]:
    return {model["name"]: model["state"] for model in client.get_model_repository_index()}


def test_the_index_tells_what_was_unloaded(shared: tuple[Server, Path]) -> None:
    server, _ = shared
    with triton_http.InferenceServerClient(server.http) as client:
        client.unload_model("digits")
        assert states(client) == {
            "other": "READY",
            "digits-0": "READY",
            "digits-1": "READY",
            "digits": "UNAVAILABLE",
        }
        client.load_model("digits")
        assert states(client)["digits"] == "READY"


def test_what_cannot_be_loaded_changes_nothing(shared: tuple[Server, Path], repository: Repository) -> None:
    server, path = shared
    (path / "digits.cascade.json").write_text("{")
    with triton_http.InferenceServerClient(server.http) as client:
        with pytest.raises(
            InferenceServerException, match="cannot be loaded; the server's log says why"
        ) as caught:
            client.load_model("digits")
        assert str(path) not in str(caught.value)
        with pytest.raises(InferenceServerException, match="holds no cascade 'nowhere'"):
            client.load_model("nowhere")
        with (
            triton_grpc.InferenceServerClient(server.grpc) as other,
            pytest.raises(InferenceServerException, match=r"holds no cascade '\.\./digits'"),
        ):
            other.load_model("../digits")
        with pytest.raises(InferenceServerException, match="'digits-0' is a member, and no cascade"):
            client.unload_model("digits-0")
        assert client.infer("digits", [image(triton_http, repository.test.image[:1])]).as_numpy(
            "label"
        ).shape == (1,)
    wait_for(server, "not JSON")


def test_a_member_is_loaded_again_where_it_is_described_otherwise(shared: tuple[Server, Path]) -> None:
    """Its file is the same; what the cascade says of its outputs is not."""
    server, path = shared
    document = json.loads((path / "digits.cascade.json").read_text())
    document["members"][2]["output"] = "luck"
    (path / "digits.cascade.json").write_text(json.dumps(document))
    with (
        triton_http.InferenceServerClient(server.http) as client,
        pytest.raises(InferenceServerException, match="cannot be loaded"),
    ):
        client.load_model("digits")
    wait_for(server, "has no output 'luck'")


def test_reloading_under_load_loses_no_request(shared: tuple[Server, Path], repository: Repository) -> None:
    server, _ = shared
    rows, stop = repository.test.image[:4], threading.Event()
    answered, failed = [0], []

    def send() -> None:
        with triton_http.InferenceServerClient(server.http) as client:
            while not stop.is_set():
                try:
                    client.infer("digits", [image(triton_http, rows)])
                    answered[0] += 1
                except InferenceServerException as error:
                    failed.append(str(error))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    with triton_http.InferenceServerClient(server.http) as client:
        num_loads = 0
        while num_loads < 10 or (answered[0] <= 10 and num_loads < 1000):
            client.load_model("digits")
            num_loads += 1
    stop.set()
    for thread in threads:
        thread.join(10)
    assert failed == []
    assert answered[0] > 10
