"""One real Triton, which dies in no test."""

from collections.abc import Iterator

import pytest

from serving.triton.bundled import QUICK, TritonServer, triton
from serving.triton.config import TritonConfig
from serving.triton.loading import Triton
from tests.serving.triton.models import Model, models, write_models
from tests.triton.installation import require
from tests.triton.models import write_model

UNLOADED = "unloaded"


@pytest.fixture(scope="session")
def installed() -> None:
    require()


@pytest.fixture(scope="package")
def made() -> dict[str, Model]:
    return models()


@pytest.fixture(scope="package")
def server(
    installed: None, made: dict[str, Model], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    folder = tmp_path_factory.mktemp("triton")
    write_models(folder / "repository", made)
    write_model(folder / "repository", UNLOADED, made["image"].graph)
    explicit = ["--model-control-mode=explicit", *(f"--load-model={name}" for name in made)]
    with triton(folder / "repository", QUICK, *explicit, log=folder / "triton.log") as running:
        yield running


@pytest.fixture(scope="package")
def running(server: TritonServer) -> Iterator[Triton]:
    """Where members of that Triton are loaded from."""
    source = Triton(TritonConfig(urls=(server.grpc,)))
    source.wait_until_live()
    yield source
    source.close()
