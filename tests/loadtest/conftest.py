from collections.abc import Iterator

import pytest

from tests.loadtest.tiny_server import TinyServer, tiny_server


@pytest.fixture
def server() -> Iterator[TinyServer]:
    with tiny_server() as running:
        yield running
