"""Both servers over one repository, and every check once per target."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.triton.bundled import QUICK, TritonServer, triton
from tests.conformance.clients import ALL, Client, RunningServer, connect
from tests.conformance.targets import (
    MEMBER,
    SERVER_FLAGS,
    SERVERS,
    TARGETS,
    Target,
    shared_repository,
    target_of,
)
from tests.repositories import Repository
from tests.servers import Server, serving
from tests.triton.installation import require

HERE = Path(__file__).parent
EXPLICIT = ("--model-control-mode=explicit", f"--load-model={MEMBER}")


UNREAD = "ignore:Unclosed connection:ResourceWarning"
"""tritonclient's aiohttp client reads only bodies that it looks into; of health, KServe's looks into them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings(UNREAD))


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return shared_repository(tmp_path_factory.mktemp("conformance"))


@pytest.fixture(scope="package")
def triton_server(shared: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    require()
    log = tmp_path_factory.mktemp("triton") / "triton.log"
    with triton(shared.path, QUICK, *EXPLICIT, log=log) as running:
        yield running


@pytest.fixture(scope="package")
def exitgate_server(shared: Repository) -> Iterator[Server]:
    with serving(shared.path, *SERVER_FLAGS) as running:
        yield running
        assert "Traceback" not in "".join(running.output)


@pytest.fixture(scope="package", params=SERVERS)
def server(request: pytest.FixtureRequest) -> RunningServer:
    running: RunningServer = request.getfixturevalue(f"{request.param}_server")
    return running


@pytest.fixture(scope="package", params=TARGETS)
def target(request: pytest.FixtureRequest, shared: Repository) -> Target:
    running = request.getfixturevalue("triton_server" if request.param == "triton" else "exitgate_server")
    found = target_of(request.param, running, shared)
    with connect("http", running) as client:
        assert client.is_model_ready(found.model), f"{found.name} does not serve {found.model}"
    return found


@pytest.fixture(params=ALL)
def kind(request: pytest.FixtureRequest) -> str:
    """Which of tritonclient's clients."""
    name: str = request.param
    return name


@pytest.fixture
def client(kind: str, target: Target) -> Iterator[Client]:
    with connect(kind, target.server) as connected:
        yield connected


@pytest.fixture
def server_client(kind: str, server: RunningServer) -> Iterator[Client]:
    with connect(kind, server) as connected:
        yield connected
