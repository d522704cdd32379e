"""The table of settings: where each comes from, which wins, and what is said of a bad one."""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from serving.__main__ import main
from serving.config import ServerConfig
from serving.errors import StartupError
from serving.settings import COMPONENTS, KINDS, SETTINGS, server_config
from serving.settings_sources import choose

REPOSITORY = {"repository": "r"}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.delenv("EXITGATE_CONFIG", raising=False)


def toml(folder: Path, text: str) -> str:
    file = folder / "exitgate.toml"
    file.write_text(text)
    return str(file)


def test_every_setting_fills_a_field_of_its_own() -> None:
    """Errors find a setting by its field."""
    assert {
        name for name, times in Counter(setting.field for setting in SETTINGS).items() if times > 1
    } == set()
    for setting in SETTINGS:
        assert setting.of in (ServerConfig, *COMPONENTS.values())
        assert setting.field in {field.name for field in dataclasses.fields(setting.of)}
        assert setting.value_type in KINDS


def test_what_is_not_given_is_as_the_dataclasses_have_it() -> None:
    assert server_config(choose(REPOSITORY, {})) == ServerConfig(repository=Path("r"))


OTHERS: dict[str, tuple[str, str, Any]] = {
    "repository": ("other", '"other"', Path("other")),
    "host": ("::1", '"::1"', "::1"),
    "http-port": ("81", "81", 81),
    "grpc-port": ("82", "82", 82),
    "own-ports": ("90", "90", 90),
    "allow-model-control": ("true", "true", True),
    "allow-shared-memory": ("1", "true", True),
    "token-file": ("t", '"t"', Path("t")),
    "tls-cert": ("c", '"c"', Path("c")),
    "tls-key": ("k", '"k"', Path("k")),
    "tls-client-ca": ("a", '"a"', Path("a")),
    "insecure": ("yes", "true", True),
    "backend": ("triton", '"triton"', "triton"),
    "triton-url": ("a:1", '"a:1"', "a:1"),
    "start-triton": ("yes", "true", True),
    "embed-stages": ("1", "1", 1),
    "processes": ("2", "2", 2),
    "triton-log": ("l", '"l"', Path("l")),
    "triton-shared-memory": ("yes", "true", True),
    "triton-timeout-seconds": ("2", "2", 2.0),
    "triton-tls-ca": ("a", '"a"', Path("a")),
    "triton-tls-cert": ("c", '"c"', Path("c")),
    "triton-tls-key": ("k", '"k"', Path("k")),
    "triton-tls-name": ("n", '"n"', "n"),
    "workers": ("3", "3", 3),
    "threads": ("4", "4", 4),
    "spin": ("on", "true", True),
    "max-batch-rows": ("5", "5", 5),
    "accelerator": ("cuda", '"cuda"', "cuda"),
    "max-queue-seconds": ("1.5", "1.5", 1.5),
    "max-queue-bytes": ("6", "6", 6),
    "max-request-rows": ("7", "7", 7),
    "max-json-bytes": ("8", "8", 8),
    "max-body-bytes": ("9", "9", 9),
    "slow-batch-seconds": ("0.2", "0.2", 0.2),
    "audit-share": ("0.01", "0.01", 0.01),
    "reload-seconds": ("0", "0", 0.0),
    "grace": ("2", "2", 2.0),
    "decision-log": ("d", '"d"', Path("d")),
    "decision-log-rows": ("9", "9", 9),
    "decision-log-seconds": ("1.5", "1.5", 1.5),
    "console-samples": ("s.npz", '"s.npz"', Path("s.npz")),
    "log-format": ("json", '"json"', "json"),
    "otlp-endpoint": ("http://a:1", '"http://a:1"', "http://a:1"),
    "trace-share": ("0.5", "0.5", 0.5),
}
"""Of each setting another value than its default: as text, in TOML, and as it is read."""
IN_TRITON = {"backend": "triton", "triton-url": "a:1"}
NEEDS = {
    "tls-cert": {"tls-key": "k"},
    "tls-key": {"tls-cert": "c"},
    "tls-client-ca": {"tls-cert": "c", "tls-key": "k"},
    "backend": {"triton-url": "a:1"},
    "triton-url": {"backend": "triton"},
    "start-triton": {"backend": "triton"},
    "triton-log": {"backend": "triton", "start-triton": "yes"},
    **{f"triton-{name}": IN_TRITON for name in ("shared-memory", "timeout-seconds")},
    **{f"triton-tls-{name}": IN_TRITON for name in ("ca", "cert", "key", "name")},
    "embed-stages": IN_TRITON,
    "processes": IN_TRITON,
    "own-ports": IN_TRITON | {"processes": "2"},
    "trace-share": {"otlp-endpoint": "http://a:1"},
}


def field_of(config: ServerConfig, setting: Any) -> Any:
    of = {kind: name for name, kind in COMPONENTS.items()}
    return getattr(config if setting.of is ServerConfig else getattr(config, of[setting.of]), setting.field)


@pytest.mark.parametrize("setting", [pytest.param(setting, id=setting.name) for setting in SETTINGS])
def test_every_setting_can_be_a_flag_a_variable_and_a_key(setting: Any, tmp_path: Path) -> None:
    text, in_toml, value = OTHERS.get(setting.name) or pytest.fail(f"give {setting.name} a row in OTHERS")
    assert value != setting.default
    beside = REPOSITORY | NEEDS.get(setting.name, {})
    beside.pop(setting.name, None)
    file = toml(tmp_path, f"{setting.name} = {in_toml}")
    given = (
        choose({**beside, setting.name: text}, {}),
        choose(beside, {setting.variable: text}),
        choose(beside, {}, file),
        choose(beside, {"EXITGATE_CONFIG": file}),
    )
    assert [one[setting.name].origin for one in given] == ["flag", setting.variable, file, file]
    for one in given:
        assert field_of(server_config(one), setting) == value


def test_a_flag_goes_before_a_variable_before_a_file(tmp_path: Path) -> None:
    file = toml(tmp_path, "http-port = 1\ngrpc-port = 1\ngrace = 1\nspin = true")
    environment = {"EXITGATE_HTTP_PORT": "2", "EXITGATE_GRPC_PORT": "2", "EXITGATE_CONFIG": "not this one"}
    chosen = choose({"http-port": "3", "spin": False}, environment, file)
    found = {
        name: (chosen[name].value, chosen[name].origin)
        for name in ("http-port", "grpc-port", "grace", "spin")
    }
    assert found == {
        "http-port": (3, "flag"),
        "grpc-port": (2, "EXITGATE_GRPC_PORT"),
        "grace": (1.0, file),
        "spin": (False, "flag"),
    }
    assert (chosen["host"].value, chosen["host"].origin) == ("127.0.0.1", "default")


BAD = [
    ("http-port", "x", '"x"', "is 'x'; it must be a whole number"),
    ("http-port", "", '""', "is ''; it must be a whole number"),
    ("http-port", "70000", "70000", "is 70000; it must be a port, 0 to 65535"),
    ("grace", "inf", "inf", "is inf; it must be 0 or more, and finite"),
    ("grace", "soon", "true", "it must be a number"),
    ("grace", "1e999", "1" + "0" * 400, "it must be"),
    ("spin", "maybe", '"maybe"', "is 'maybe'; it must be true or false"),
    ("workers", "0", "0", "is 0; it must be positive"),
    ("workers", "1.5", "1.5", "it must be a whole number"),
    ("token-file", "", '""', "is ''; it must be a path"),
    ("host", "", '""', "is ''; it must be text, and not empty"),
    ("host", "0.0.0.0", '"0.0.0.0"', "is '0.0.0.0'; it must be a loopback address, unless"),
    ("accelerator", "tpu", '"tpu"', "is 'tpu'; it must be one of none, cuda, tensorrt"),
    ("log-format", "xml", '"xml"', "is 'xml'; it must be one of text, json"),
    ("tls-cert", "c", '"c"', "is 'c'; it must be given together with --tls-key"),
]


@pytest.mark.parametrize(("name", "text", "in_toml", "message"), BAD)
def test_a_bad_value_is_named_by_the_place_it_came_from(
    name: str, text: str, in_toml: str, message: str, tmp_path: Path
) -> None:
    variable = "EXITGATE_" + name.upper().replace("-", "_")
    file = toml(tmp_path, f"{name} = {in_toml}")
    places: list[tuple[str, tuple[Any, ...]]] = [
        (f"--{name} ", ({**REPOSITORY, name: text}, {})),
        (f"{variable} ", (REPOSITORY, {variable: text})),
        (f"{name} in {file} ", (REPOSITORY, {}, file)),
    ]
    for place, sources in places:
        with pytest.raises(StartupError) as caught:
            server_config(choose(*sources))
        assert str(caught.value).startswith(place)
        assert message in str(caught.value)


@pytest.mark.parametrize("in_toml", ["1", "true", "[1]", "{a = 1}", "2026-11-26", "1.5"])
def test_a_key_of_another_type_is_refused(in_toml: str, tmp_path: Path) -> None:
    file = toml(tmp_path, f"host = {in_toml}")
    with pytest.raises(StartupError, match=f"^host in {file} is .*; it must be text"):
        choose(REPOSITORY, {}, file)


def test_what_is_overridden_is_checked_all_the_same(tmp_path: Path) -> None:
    file = toml(tmp_path, "http-port = 'x'")
    with pytest.raises(StartupError, match=f"^http-port in {file} is 'x'"):
        choose({**REPOSITORY, "http-port": "1"}, {}, file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http_port = 1", "{}: 'http_port' is no setting; do you mean http-port?"),
        ("htp-port = 1", "{}: 'htp-port' is no setting; do you mean http-port?"),
        ("[server]\nhost = 'x'", "{}: 'server' is no setting"),
        ("config = 'other.toml'", "{}: 'config' is no setting"),
        ("zzz = 1", "{}: 'zzz' is no setting"),
        ("host = ", "{} is no TOML: Invalid value (at end of document)"),
        ("host = 'a'\nhost = 'b'", "{} is no TOML: Cannot overwrite a value (at end of document)"),
    ],
)
def test_a_bad_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    file = toml(tmp_path, text)
    with pytest.raises(StartupError) as caught:
        choose(REPOSITORY, {}, file)
    assert str(caught.value) == message.format(file)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    for name, message in (
        ("x", ": No such file"),
        ("", ": Is a directory"),
        ("bytes", " is no TOML: 'utf-8' codec"),
    ):
        with pytest.raises(StartupError) as caught:
            choose(REPOSITORY, {}, str(tmp_path / name))
        assert str(caught.value).startswith(f"{tmp_path / name}{message}")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("EXITGATE_HTP_PORT", "; do you mean EXITGATE_HTTP_PORT?"),
        ("EXITGATE_TOKEN", "; do you mean EXITGATE_TOKEN_FILE?"),
        ("EXITGATE_CONFG", "; do you mean EXITGATE_CONFIG?"),
        ("EXITGATE_", ""),
        ("EXITGATE_QQQ", ""),
    ],
)
def test_an_unknown_variable_is_refused(variable: str, hint: str) -> None:
    """Without its value, which may be a secret."""
    with pytest.raises(StartupError) as caught:
        choose(REPOSITORY, {variable: "s3cret", "OTHER": "x", "EXITGATE": "x"})
    assert str(caught.value) == f"{variable} in the environment is no setting{hint}"


def test_a_repository_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith(
        "error: no repository: name it as an argument, by EXITGATE_REPOSITORY"
    )
