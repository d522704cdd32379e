"""`python -m serving --backend triton --start-triton`: all of it, over the wire."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton_http
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from cascade.replay import replay
from serving.config import BackendConfig
from serving.errors import StartupError
from tests.conformance.targets import shared_repository
from tests.repositories import Repository
from tests.servers import Server, serving
from tests.triton.processes import child

ROWS = 32


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return shared_repository(tmp_path_factory.mktemp("backend"))


@pytest.fixture(scope="module")
def server(
    installed: None, repository: Repository, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("log") / "triton.log"
    flags = ("--backend", "triton", "--start-triton", "--embed-stages", "1", "--triton-log", str(log))
    with serving(repository.path, *flags) as running:
        yield running
    assert "GRPCInferenceService" in log.read_text(encoding="utf-8", errors="replace")


def ask(
    server: Server, images: NDArray[np.uint8], **parameters: object
) -> tuple[triton_http.InferResult, bool]:
    """And whether the answer is degraded."""
    image = triton_http.InferInput("image", list(images.shape), "UINT8").set_data_from_numpy(images)
    with triton_http.InferenceServerClient(server.http) as client:
        result = client.infer("digits", [image], parameters=parameters)
    return result, result.get_response()["parameters"]["degraded"]


def test_members_in_triton_answer_as_the_replay_and_a_dead_triton_costs_no_answer(
    repository: Repository, server: Server
) -> None:
    images, cascade = repository.test.image[:ROWS], repository.cascade
    rows = repository.scores.rows(np.arange(ROWS))
    whole = replay(cascade.policies["full"], cascade.stages, rows)
    result, is_degraded = ask(server, images, policy="full")
    assert not is_degraded
    np.testing.assert_allclose(result.as_numpy("probabilities"), whole.probabilities, atol=1e-5)

    os.kill(child(server.process.pid, "bin/tritonserver"), signal.SIGKILL)
    result, is_degraded = ask(server, images, policy="full")
    alone = replay(cascade.policies["full"], cascade.stages, rows, failed=["digits-1", "digits-2"])
    assert is_degraded
    assert set(result.as_numpy("exit_reason").tolist()) == {b"member_failed"}
    assert (result.as_numpy("exit_stage") == 1).all()
    assert np.array_equal(result.as_numpy("label"), alone.label)
    with pytest.raises(InferenceServerException) as refusal:
        ask(server, images, policy="full", strict=True)
    assert refusal.value.status() == "503"
    assert "127.0.0.1" not in str(refusal.value)

    deadline_s = time.monotonic() + 60
    while ask(server, images, policy="full")[1]:
        assert time.monotonic() < deadline_s
        time.sleep(0.2)


BAD = [
    ({"backend": "gpu"}, "backend is 'gpu'; it must be one of embedded, triton"),
    (
        {"backend": "triton"},
        "backend is 'triton'; it must be triton with either --triton-url or --start-triton",
    ),
    ({"backend": "triton", "triton_url": "a:1", "start_triton": True}, "with either --triton-url or --start"),
    ({"triton_url": "a:1"}, "triton_url is 'a:1'; it must be given with --backend triton"),
    ({"embed_stages": 1}, "embed_stages is 1; it must be given with --backend triton"),
    (
        {"backend": "triton", "start_triton": True, "embed_stages": -1},
        "embed_stages is -1; it must be 0 or more",
    ),
    ({"backend": "triton", "triton_url": "a:1", "triton_log": Path("l")}, "given with --start-triton"),
    ({"backend": "triton", "start_triton": True, "triton_tls_name": "n"}, "left out with --start-triton"),
    ({"backend": "triton", "start_triton": True, "triton_timeout_s": 0.0}, "triton_timeout_s is 0.0"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_settings_that_contradict_one_another_are_refused_by_name(given: dict, message: str) -> None:
    with pytest.raises(StartupError, match=message):
        BackendConfig(**given)
