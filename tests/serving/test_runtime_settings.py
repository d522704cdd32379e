"""Trace and log settings by tritonclient, and what they do to the log."""

import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from serving.errors import InvalidRequest, Unsupported
from serving.runtime_settings import LogSettings, update_trace_settings
from tests.repositories import Repository
from tests.servers import Server, serving

CLIENTS = [pytest.param(triton_http, id="http"), pytest.param(triton_grpc, id="grpc")]
DEFAULTS = {"log_info": True, "log_warning": True, "log_error": True, "log_verbose_level": 0}


@pytest.fixture(scope="module")
def server(repository: Repository) -> Iterator[Server]:
    with serving(repository.path, "--allow-model-control") as running:
        yield running


def connect(module: ModuleType, server: Server) -> Any:
    return module.InferenceServerClient(server.http if module is triton_http else server.grpc)


def traced(answer: Any) -> dict[str, list[str]]:
    if isinstance(answer, dict):
        return answer
    return {name: list(entry.value) for name, entry in answer.settings.items()}


def logged(answer: Any) -> dict[str, Any]:
    if isinstance(answer, dict):
        return answer
    return {k: getattr(v, v.WhichOneof("parameter_choice")) for k, v in answer.settings.items()}


@pytest.mark.parametrize("module", CLIENTS)
def test_tracing_is_off_and_stays_so(module: ModuleType, server: Server) -> None:
    with connect(module, server) as client:
        for model in (None, "digits"):
            assert traced(client.get_trace_settings(model)) == {"trace_level": ["OFF"]}
            for value in ("OFF", ["OFF"], None):
                answer = client.update_trace_settings(model, {"trace_level": value})
                assert traced(answer) == {"trace_level": ["OFF"]}
            for name, value in (("trace_level", ["TIMESTAMPS"]), ("trace_rate", "1"), ("trace_file", "/x")):
                with pytest.raises(InferenceServerException, match=f"'{name}': tracing is not") as caught:
                    client.update_trace_settings(model, {name: value})
                assert caught.value.status() in ("501", "StatusCode.UNIMPLEMENTED")
        with pytest.raises(InferenceServerException, match="unknown model 'nope'"):
            client.get_trace_settings("nope")


@pytest.mark.parametrize("module", CLIENTS)
def test_the_log_follows_its_settings(module: ModuleType, server: Server) -> None:
    """The last word on it is the log itself, in the tests below."""
    with connect(module, server) as client:
        assert logged(client.get_log_settings()) == DEFAULTS
        try:
            changed = client.update_log_settings({"log_info": False, "log_verbose_level": 2})
            assert logged(changed) == DEFAULTS | {"log_info": False, "log_verbose_level": 2}
            assert logged(client.get_log_settings()) == logged(changed)
        finally:
            client.update_log_settings(DEFAULTS)
        assert logged(client.get_log_settings()) == DEFAULTS
        for name in ("log_file", "log_format"):
            with pytest.raises(InferenceServerException, match=f"log setting '{name}' is not") as caught:
                client.update_log_settings({"log_info": False, name: "default"})
            assert caught.value.status() in ("501", "StatusCode.UNIMPLEMENTED")
        assert logged(client.get_log_settings()) == DEFAULTS


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.levelname)


@pytest.fixture
def logger() -> Iterator[tuple[logging.Logger, Lines]]:
    found = logging.Logger("of a test", logging.INFO)
    lines = Lines()
    found.addHandler(lines)
    yield found, lines


@pytest.mark.parametrize(
    ("wanted", "levels"),
    [
        ({}, ["INFO", "WARNING", "ERROR", "CRITICAL"]),
        ({"log_info": False}, ["WARNING", "ERROR", "CRITICAL"]),
        ({"log_warning": False}, ["INFO", "ERROR", "CRITICAL"]),
        ({"log_error": False}, ["INFO", "WARNING"]),
        ({"log_info": False, "log_warning": False, "log_error": False}, []),
        ({"log_verbose_level": 1}, ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        ({"log_verbose_level": 1, "log_info": False}, ["DEBUG", "WARNING", "ERROR", "CRITICAL"]),
    ],
)
def test_what_the_log_lets_through(
    wanted: dict[str, Any], levels: list[str], logger: tuple[logging.Logger, Lines]
) -> None:
    settings = LogSettings(logger[0], is_allowed=True)
    assert settings.update(wanted) == DEFAULTS | wanted
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(logger[0], level)("a line")
    assert logger[1].found == levels


@pytest.mark.parametrize(
    "wanted",
    [
        {"log_info": 1},
        {"log_error": "true"},
        {"log_warning": None},
        {"log_verbose_level": True},
        {"log_verbose_level": -1},
        {"log_verbose_level": 1.5},
        {"log_verbose_level": 2**32},
    ],
)
def test_bad_log_settings_change_nothing(
    wanted: dict[str, Any], logger: tuple[logging.Logger, Lines]
) -> None:
    settings = LogSettings(logger[0], is_allowed=True)
    with pytest.raises(InvalidRequest, match=next(iter(wanted))):
        settings.update({"log_info": False} | wanted)
    assert settings.current() == DEFAULTS
    assert logger[0].level == logging.INFO


@pytest.mark.parametrize("wanted", [{"trace_level": "MAX"}, {"trace_level": ["OFF", "OFF"]}, {"x": None}])
def test_other_traces_are_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match=next(iter(wanted))):
        update_trace_settings(wanted)


def test_the_log_is_fixed_unless_clients_may_control_the_server(repository: Repository) -> None:
    with serving(repository.path) as fixed:
        for module in (triton_http, triton_grpc):
            with connect(module, fixed) as client:
                assert logged(client.get_log_settings()) == DEFAULTS
                with pytest.raises(InferenceServerException, match="log settings are fixed") as caught:
                    client.update_log_settings({"log_error": False})
                assert caught.value.status() in ("501", "StatusCode.UNIMPLEMENTED")
