"""The log as text and as JSON, of this server's own lines and of its libraries'."""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tritonclient.http as triton_http

from serving.logs import JsonFormatter
from tests.repositories import Repository
from tests.servers import ROOT, serving

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TEXT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING|ERROR) .+")
STDOUT = ("digits: ", "ready: ")


def formatted(**fields: Any) -> dict[str, Any]:
    made = {
        "name": "exitgate",
        "levelname": "INFO",
        "msg": "%d rows",
        "args": (3,),
        "created": 0.25,
        **fields,
    }
    line = JsonFormatter().format(logging.makeLogRecord(made))
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_record_is_an_object() -> None:
    assert formatted() == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "INFO",
        "logger": "exitgate",
        "message": "3 rows",
    }


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (1.5, 1.5),
        ([1, None, True], [1, None, True]),
        ({1: "a"}, {"1": "a"}),
        (float("inf"), "inf"),
        (Path("a/b"), "a/b"),
        ('\n"é\udcff', '\n"é\udcff'),
    ],
)
def test_fields_of_its_own_are_added(value: Any, found: Any) -> None:
    assert formatted(member=value)["member"] == found


def test_no_field_can_pass_for_what_every_record_has() -> None:
    assert formatted(level="x", time="x", logger="x")["level"] == "INFO"
    assert formatted(color_message="x").keys() == formatted().keys()


def test_an_error_has_its_traceback() -> None:
    try:
        raise ValueError("of a test")
    except ValueError:
        told = formatted(exc_info=sys.exc_info())
    assert told["exception"].startswith("Traceback (most recent call last):\n")
    assert told["exception"].endswith("ValueError: of a test")


def parsed(lines: list[str]) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in lines if not line.startswith(STDOUT)]
    for line in found:
        assert RFC3339.fullmatch(line["time"])
        assert {"time", "level", "logger", "message"} <= line.keys()
    return found


def test_every_line_of_a_server_is_an_object(repository: Repository) -> None:
    with serving(repository.path, "--log-format", "json") as server:
        pass
    found = parsed(server.output)
    assert found[-1]["message"] == "stopped"
    chosen = {line["setting"]: (line["value"], line["origin"]) for line in found if "setting" in line}
    assert chosen["log-format"] == ("json", "flag")
    assert chosen["host"] == ("127.0.0.1", "default")


def test_clients_may_still_set_what_is_logged(repository: Repository) -> None:
    flags = ("--log-format", "json", "--allow-model-control")
    with (
        serving(repository.path, *flags) as server,
        triton_http.InferenceServerClient(server.http) as client,
    ):
        client.update_log_settings({"log_info": False})
        assert server.terminate() == 0
    assert "stopped" not in [line["message"] for line in parsed(server.output)]


def test_text_is_as_it_was(repository: Repository) -> None:
    with serving(repository.path) as server:
        pass
    lines = [line.rstrip("\n") for line in server.output if not line.startswith(STDOUT)]
    assert lines[-1].endswith(" INFO stopped")
    assert [line for line in lines if not TEXT.fullmatch(line)] == []


UVICORN = """
import logging, sys, uvicorn
from serving.config import LogConfig
from serving.logs import start_logging
from tests.serving.test_logs import app

start_logging(LogConfig(format=sys.argv[1]))
uvicorn.Config(app, log_config=None, log_level="warning")
logging.getLogger("uvicorn.error").error("of uvicorn", extra={"color_message": "x"})
logging.getLogger("uvicorn.error").info("too little")
"""


async def app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError


@pytest.mark.parametrize("kind", ["text", "json"])
def test_uvicorn_s_lines_are_like_ours(kind: str) -> None:
    """As it is configured in `serving.server`; it has little to say while nothing is wrong with it."""
    command = [sys.executable, "-c", UVICORN, kind]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    if kind == "text":
        assert TEXT.fullmatch(line) and line.endswith("ERROR of uvicorn")
    else:
        found = json.loads(line)
        assert (found["logger"], found["message"]) == ("uvicorn.error", "of uvicorn")
        assert found.keys() == {"time", "level", "logger", "message"}


def test_a_refusal_to_start_is_an_object_too(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "serving",
        str(tmp_path / "nowhere"),
        "--log-format",
        "json",
        "--http-port",
        "0",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    last = parsed(done.stderr.splitlines())[-1]
    assert last["level"] == "CRITICAL"
    assert "no such folder" in last["message"]
