"""One real Triton over one small model per thing that can go wrong."""

from collections.abc import Iterator

import pytest

from serving.triton.bundled import QUICK, TritonServer, triton
from tests.repositories import linear_member, noisy_digits
from tests.triton.installation import require
from tests.triton.models import QUEUE_DELAY_US, echo, mixed, shrunk, write_model


@pytest.fixture(scope="session")
def installed() -> None:
    require()


@pytest.fixture(scope="package")
def models() -> dict[str, bytes]:
    train, _, _ = noisy_digits(0)
    return {
        "image": linear_member(train, 1),
        "mixed": mixed(),
        "echo": echo(),
        "shrunk": shrunk(),
        "shrunk-unbatched": shrunk(),
    }


@pytest.fixture(scope="package")
def server(
    installed: None, models: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    folder = tmp_path_factory.mktemp("triton")
    options = {
        "mixed": {"queue_delay_us": QUEUE_DELAY_US},
        "echo": {"queue_delay_us": QUEUE_DELAY_US},
        "shrunk-unbatched": {"max_batch_size": 0},
    }
    for name, model in models.items():
        write_model(folder / "repository", name, model, **options.get(name, {}))
    with triton(folder / "repository", QUICK, log=folder / "triton.log") as running:
        yield running
