"""The page's files: what is served, with which headers, and that all of it is here."""

import hashlib
import http.client
import re
from pathlib import Path

import pytest

from serving.console.files import FILES, OPEN
from tests.servers import ROOT, Server

PAGE = ROOT / "serving" / "console" / "page"
VENDOR = PAGE / "vendor" / "uplot"
JS = "text/javascript; charset=utf-8"
TEXTS = [path for path in PAGE.rglob("*") if path.suffix in (".html", ".css", ".js", ".svg")]


def get(server: Server, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """The path as it stands: clients would make `..` of it what it means."""
    connection = http.client.HTTPConnection(server.http, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    try:
        return (
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "file", "media_type"),
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/console/main.js", "main.js", JS),
        ("/console/console.css", "console.css", "text/css; charset=utf-8"),
        ("/console/icon.svg", "icon.svg", "image/svg+xml"),
        ("/console/vendor/uplot/uPlot.iife.min.js", "vendor/uplot/uPlot.iife.min.js", JS),
        ("/console/vendor/uplot/LICENSE", "vendor/uplot/LICENSE", "text/plain; charset=utf-8"),
    ],
)  # fmt: skip
def test_files_are_served_and_may_load_nothing_from_elsewhere(
    server: Server, path: str, file: str, media_type: str
) -> None:
    status, headers, content = get(server, path)
    assert (status, content) == (200, (PAGE / file).read_bytes())
    assert headers["content-type"] == media_type
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy and "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/console/",
        "/console/none.js",
        "/console/../state.py",
        "/console/%2e%2e/state.py",
        "/console/vendor/../../routes.py",
        "/console/..%2fstate.py",
        "/console//etc/passwd",
        "/console/vendor/uplot/README.md",
        "/v2/console/samples/none",
    ],
)
def test_nothing_else_is_there(server: Server, path: str) -> None:
    status, headers, content = get(server, path)
    assert (status, headers["content-type"]) == (404, "application/json")
    assert content.startswith(b'{"error":')


def test_a_page_is_not_posted_to(server: Server) -> None:
    assert get(server, "/", "POST")[0] == 405
    assert get(server, "/", "HEAD")[0] == 200


def test_whatever_a_file_asks_for_is_served() -> None:
    asked = {
        name if name.startswith("/") else f"/console/{name.removeprefix('./')}"
        for text in TEXTS
        if VENDOR not in text.parents
        for name in re.findall(r"""(?:from|src=|href=) ?"([^"]+)";?""", text.read_text())
    }
    assert asked - {"/metrics"} <= set(FILES)
    unused = set(FILES) - asked - {"/", "/console/vendor/uplot/LICENSE"}
    assert not unused


def test_no_file_names_another_host() -> None:
    found = {
        address
        for text in TEXTS
        for address in re.findall(r"""(?:https?:)?//[\w-]+\.[\w.-]+[^\s"']*""", text.read_text())
    }
    assert found <= {"http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"}


def test_what_is_not_ours_is_as_it_was_published() -> None:
    told = dict(re.findall(r"`dist/(\S+)` \| (\w{64})", (VENDOR / "README.md").read_text()))
    assert told == {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in told}
    assert len(told) == 2 and (VENDOR / "LICENSE").is_file()


def test_the_package_has_every_file() -> None:
    """The globs of pyproject.toml, which setuptools applies within the package."""
    line = re.search(r'"serving.console" = \[(.+)\]', (ROOT / "pyproject.toml").read_text())
    assert line is not None
    globs = re.findall(r'"([^"]+)"', line[1])
    packed = {path for glob in globs for path in PAGE.parent.glob(glob) if path.is_file()}
    assert packed == {path for path in PAGE.rglob("*") if path.is_file()}


def test_whoever_has_no_token_may_see_the_page_but_no_data() -> None:
    assert {b"/", b"/console/main.js"} <= OPEN
    assert not any(path.startswith(b"/v2") for path in OPEN)
    assert all(Path(path.decode()).suffix in ("", ".js", ".css", ".svg") for path in OPEN)
