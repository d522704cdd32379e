"""KServe's client with its defaults, in an environment of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conformance.installation import PYTHON, require_kserve
from tests.conformance.targets import Target

SCRIPT = Path(__file__).with_name("kserve_client.py")
ROWS = 30
"""So many that the answer is long enough to be compressed, which httpx asks for."""


@pytest.fixture(scope="module")
def found(target: Target, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By check, what the client got."""
    require_kserve()
    rows = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(rows, target.images(0, ROWS))
    addresses = (target.server.http, target.server.grpc)
    done = subprocess.run(
        [PYTHON, "-P", "-W", "ignore", SCRIPT, *addresses, target.model, target.output, rows],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("check", ["live", "ready", "model ready"])
@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_readiness(protocol: str, check: str, target: Target, found: dict[str, Any]) -> None:
    """Triton's empty body is no JSON to KServe's client, which looks into it."""
    answer = found[f"{protocol} {check}"]
    if target.is_triton and protocol == "rest" and check != "model ready":
        assert answer[0] == "JSONDecodeError"
    else:
        assert answer is True


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_an_unknown_model_is_not_ready(protocol: str, target: Target, found: dict[str, Any]) -> None:
    assert found[f"{protocol} no model ready"] is False


@pytest.mark.parametrize("kind", ["json", "binary"])
@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_inference(protocol: str, kind: str, target: Target, found: dict[str, Any]) -> None:
    """Over gRPC these are typed and raw contents."""
    answer = found[f"{protocol} {kind}"]
    assert (answer["id"], answer["model"]) == ("an-id", target.model)
    target.check(np.array(answer["values"]), 0, ROWS)


def test_the_answer_was_compressed(target: Target, found: dict[str, Any]) -> None:
    assert found["rest encoding"] == "gzip"


def test_an_error_is_told(target: Target, found: dict[str, Any]) -> None:
    """With the server's reason, which the client reads where the answer says that it is JSON."""
    kind, text = found["rest error"]
    assert kind == "HTTPStatusError" and "404 Not Found" in text
    assert target.is_triton or "unknown model 'no-such-model'" in text
