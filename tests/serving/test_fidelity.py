"""The whole test split over the wire equals the offline replay, whatever the requests look like."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from cascade.metrics import cost_macs
from cascade.policy import Policy
from cascade.replay import Replay, replay
from tests.repositories import Repository
from tests.servers import Server, serving

BOUNDARY = 1e-5
CONCURRENCY = 8
MAX_BOUNDARY_ROWS = 0.01


@pytest.fixture(scope="module", params=["repository", "broad_repository"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Repository, Server]]:
    repository: Repository = request.getfixturevalue(request.param)
    with serving(repository.path, "--max-batch-rows", "16") as running:
        yield repository, running


def near_a_boundary(policy: Policy, played: Replay) -> np.ndarray:
    """Rows one of whose scores lies so near an edge that last-bit differences may flip them."""
    edges = [*policy.thresholds, *policy.accept_above, *policy.accept_above_cut]
    edges += [edge for window in policy.windows for edge in (window.lo, window.hi)]
    finite = np.array([edge for edge in edges if np.isfinite(edge)])
    if len(finite) == 0:
        return np.zeros(len(played.label), bool)
    distances = np.abs(played.stage_scores[:, :, None] - finite)
    return np.asarray((np.nan_to_num(distances, nan=np.inf).min(axis=2) < BOUNDARY).any(axis=0))


def send_all(
    module: ModuleType, address: str, repository: Repository, policy: str, rows_per_request: int
) -> dict[str, np.ndarray]:
    """Every row once, many requests at a time; answers put back in the order of the rows."""
    image = repository.test.image
    local = threading.local()

    def send(start: int) -> Any:
        if not hasattr(local, "client"):
            local.client = module.InferenceServerClient(address)
        part = image[start : start + rows_per_request]
        tensor = module.InferInput("image", list(part.shape), "UINT8").set_data_from_numpy(part)
        return local.client.infer(repository.cascade.name, [tensor], parameters={"policy": policy})

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        results = list(pool.map(send, range(0, len(image), rows_per_request)))
    return {
        name: np.concatenate([result.as_numpy(name) for result in results])
        for name in ("label", "exit_stage", "accepted")
    }


def rows_executed(server: Server) -> dict[str, int]:
    with triton_http.InferenceServerClient(server.http) as client:
        entries = client.get_inference_statistics()["model_stats"]
    return {entry["name"]: entry["inference_count"] for entry in entries}


@pytest.mark.parametrize("rows_per_request", [1, 7, 64])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_every_row_is_answered_as_in_the_replay(
    protocol: str, rows_per_request: int, served: tuple[Repository, Server]
) -> None:
    repository, server = served
    module = triton_http if protocol == "http" else triton_grpc
    for name, policy in repository.cascade.policies.items():
        before = rows_executed(server)
        got = send_all(module, getattr(server, protocol), repository, name, rows_per_request)
        after = rows_executed(server)
        played = replay(policy, repository.cascade.stages, repository.scores)
        certain = ~near_a_boundary(policy, played)
        assert 1 - certain.mean() <= MAX_BOUNDARY_ROWS
        for output in ("label", "exit_stage", "accepted"):
            assert np.array_equal(got[output][certain], getattr(played, output)[certain]), (name, output)
        spent = sum(
            (after[member.name] - before[member.name]) * member.macs for member in repository.cascade.members
        )
        reported = cost_macs(got["exit_stage"], repository.cascade.stage_macs) * len(got["exit_stage"])
        assert spent == pytest.approx(reported, rel=1e-12)
