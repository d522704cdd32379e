"""What the checks are run against: a real Triton, and this server.

Both read one repository of three members and a cascade over them. Triton serves the members; this server
the cascade and its members. The checks prove themselves on Triton, and then count for this server.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.replay import replay
from tests.conformance.clients import RunningServer
from tests.repositories import CLASSES, Repository, make_repository
from tests.triton.models import write_model

SERVERS = ("triton", "exitgate")
TARGETS = ("triton", "member", "cascade")
"""Models: Triton's and this server's `digits-0`, and this server's `digits`."""

CASCADE, MEMBER = "digits", "digits-0"
VERSION = "1"
INPUT = "image"

SERVER_FLAGS = ("--allow-model-control", "--allow-shared-memory")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A model of a server, and the output that is looked at."""

    name: str
    server: RunningServer
    model: str
    output: str
    repository: Repository

    @property
    def is_triton(self) -> bool:
        return self.name == "triton"

    def images(self, start: int, rows: int) -> NDArray[np.uint8]:
        return self.repository.test.image[start : start + rows]

    def expected(self, start: int, rows: int) -> NDArray[np.floating]:
        """The output on the same rows, by the embedded runtime and the replay of the default policy."""
        scores = self.repository.scores.rows(np.arange(start, start + rows))
        if self.model == MEMBER:
            return np.asarray(scores.outputs[0])
        cascade = self.repository.cascade
        played = replay(cascade.policies[cascade.default_policy], cascade.stages, scores)
        assert played.probabilities is not None
        return np.asarray(played.probabilities)

    def check(self, found: NDArray[Any] | None, start: int, rows: int) -> None:
        assert found is not None
        assert found.shape == (rows, CLASSES)
        np.testing.assert_allclose(found, self.expected(start, rows), atol=1e-5, rtol=0)


def target_of(name: str, server: RunningServer, repository: Repository) -> Target:
    model, output = (CASCADE, "probabilities") if name == "cascade" else (MEMBER, "logits")
    return Target(name=name, server=server, model=model, output=output, repository=repository)


def shared_repository(folder: Path) -> Repository:
    """The members' folders as the export writes them for Triton's Python backend."""
    repository = make_repository(folder, name=CASCADE)
    for member in repository.cascade.members:
        place = folder / member.name
        graph = place / str(member.version) / "model.onnx"
        model = graph.read_bytes()
        graph.unlink()
        graph.parent.rmdir()
        write_model(folder, member.name, model)
    return repository
