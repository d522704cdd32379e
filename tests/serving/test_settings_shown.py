"""Settings as TOML that can be read back, and in the log."""

import logging
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serving.__main__ import main
from serving.settings_shown import log_settings, toml_value
from serving.settings_sources import choose

VALUES = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@given(VALUES)
@example("\x7f")
@example(float("inf"))
def test_any_value_can_be_read_back(value: Any) -> None:
    found = tomllib.loads(f"key = {toml_value(value)}")["key"]
    assert (type(found), found) == (type(value), value)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments, "--print-config"]) == 0
    return capsys.readouterr().out


def test_the_printed_settings_can_be_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXITGATE_MAX_QUEUE_SECONDS", "2.5")
    file = tmp_path / 'a \n"b".toml'
    file.write_text('grace = 7\nhost = "localhost"')
    given = ("a # \\ \x7f 'é'", "--config", str(file), "--workers", "3", "--no-spin", "--insecure")
    first = printed(capsys, *given)
    lines = first.splitlines()
    assert "http-port = 8000  # default" in lines
    assert "workers = 3  # flag" in lines
    assert "max-queue-seconds = 2.5  # EXITGATE_MAX_QUEUE_SECONDS" in lines
    assert f'grace = 7.0  # {tmp_path}/a \\n\\"b\\".toml' in lines
    assert "# token-file is not given" in lines
    monkeypatch.delenv("EXITGATE_MAX_QUEUE_SECONDS")
    again = tmp_path / "again.toml"
    again.write_text(first)
    second = printed(capsys, "--config", str(again))
    assert tomllib.loads(second) == tomllib.loads(first)
    assert tomllib.loads(first)["repository"] == "a # \\ \x7f 'é'"
    assert choose({}, {}, str(again))["spin"].value is False


def test_a_bad_setting_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["r", "--print-config", "--http-port", "70000"]) == 2
    found = capsys.readouterr()
    assert found.err == "error: --http-port is 70000; it must be a port, 0 to 65535\n"
    assert found.out == ""


def test_the_log_has_every_setting_and_where_it_came_from(caplog: pytest.LogCaptureFixture) -> None:
    chosen = choose({"repository": "r", "max-queue-seconds": "inf"}, {"EXITGATE_HTTP_PORT": "81"})
    with caplog.at_level(logging.INFO, "exitgate"):
        log_settings(chosen)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(chosen)
    assert 'repository = "r" (flag)' in lines
    assert "http-port = 81 (EXITGATE_HTTP_PORT)" in lines
    assert "max-queue-seconds = inf (flag)" in lines
    assert "workers = not given (default)" in lines
    fields: Any = next(record for record in caplog.records if "http-port" in record.getMessage())
    assert (fields.setting, fields.value, fields.origin) == ("http-port", 81, "EXITGATE_HTTP_PORT")
