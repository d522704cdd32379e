"""Loading and unloading, where a server was started to allow it."""

import time
from collections.abc import Callable

import pytest
from tritonclient.utils import InferenceServerException

from tests.conformance.clients import Client
from tests.conformance.targets import INPUT, Target

PATIENCE_S = 10.0
UNLOADED = (
    "400",
    "404",
    "503",
    "StatusCode.INVALID_ARGUMENT",
    "StatusCode.NOT_FOUND",
    "StatusCode.UNAVAILABLE",
)
"""Unknown to one server, known and unavailable to another."""

pytestmark = pytest.mark.parametrize("target", ["triton", "cascade"], indirect=True, scope="package")
"""A member of this server comes and goes with its cascades."""


def state(client: Client, model: str) -> str:
    """In the index; a model that was never loaded has none."""
    document = client.document("get_model_repository_index")
    entries = document if client.is_http else document["models"]
    return next((entry.get("state", "") for entry in entries if entry["name"] == model), "")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_unload_and_load(client: Client, target: Target) -> None:
    image = client.input(INPUT, target.images(0, 3))
    client.unload_model(target.model)
    try:
        wait_until(lambda: not client.is_model_ready(target.model))
        wait_until(lambda: state(client, target.model) == "UNAVAILABLE")
        with pytest.raises(InferenceServerException) as refusal:
            client.infer(target.model, [image])
        assert refusal.value.status() in UNLOADED
        assert client.is_server_ready()
    finally:
        client.load_model(target.model)
    assert client.is_model_ready(target.model)
    assert state(client, target.model) == "READY"
    target.check(client.infer(target.model, [image]).as_numpy(target.output), 0, 3)


def test_loading_what_is_loaded_changes_nothing(client: Client, target: Target) -> None:
    client.load_model(target.model)
    assert client.is_model_ready(target.model)
    result = client.infer(target.model, [client.input(INPUT, target.images(0, 3))])
    target.check(result.as_numpy(target.output), 0, 3)
