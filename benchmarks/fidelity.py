"""100,000 rows over the wire against the replay of the members' outputs, row by row.

    python -m benchmarks.fidelity

Requests of 1 to 64 rows, each under a policy of the cascade that is drawn for it, over HTTP and gRPC side by
side, many at a time: batches mix requests, policies and protocols. Members are linear, on noisy digits. A row
at a boundary (a score near an edge of its policy, or two classes nearly tied) may fall either way by the last
bits of a float; any other row that differs ends this with exit code 1.
Prints the counts and writes benchmarks/results/fidelity.json.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from benchmarks.result_file import write_result
from benchmarks.server_process import measured_server
from cascade.policy import Policy
from cascade.replay import Replay, replay
from cascade.scores import softmax
from cascade.scores_file import ScoresFile
from loadtest.wire.client import Ask, Client, Status
from loadtest.wire.clients import open_clients
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import parse_target
from loadtest.wire.tensors import NamedTensor
from tests.repositories import Digits, Repository, make_repository, outputs_of

RESULT = Path(__file__).parent / "results" / "fidelity.json"
OUTPUTS = ("label", "exit_stage", "accepted")
PROTOCOLS = ("http", "grpc")
MOST_ROWS = 64
CONNECTIONS = 8  # requests in flight of each protocol; over HTTP each has a connection of its own
BOUNDARY = 1e-5
NOISE = 70.0


@dataclass(frozen=True)
class Piece:
    """A request: its rows, policy and protocol."""

    rows: slice
    policy: str
    protocol: str


def draw_pieces(num_rows: int, policies: Sequence[str], rng: np.random.Generator) -> list[Piece]:
    """Requests over all rows, one after the other."""
    pieces, start = [], 0
    while start < num_rows:
        end = min(num_rows, start + int(rng.integers(1, MOST_ROWS + 1)))
        pieces.append(Piece(slice(start, end), str(rng.choice(policies)), str(rng.choice(PROTOCOLS))))
        start = end
    return pieces


def draw_rows(count: int, rng: np.random.Generator) -> Digits:
    """Digits drawn with replacement, each with noise of its own."""
    data = load_digits()
    chosen = rng.integers(0, len(data.target), count)
    clean = data.data[chosen].reshape(-1, 8, 8, 1) * (255 / 16)
    noisy = np.clip(clean + rng.normal(0, NOISE, clean.shape), 0, 255).round().astype(np.uint8)
    return Digits(noisy, data.target[chosen].astype(np.int64))


async def send_all(
    clients: Sequence[Client], pieces: Sequence[Piece], rows: Digits
) -> dict[str, NDArray[Any]]:
    """The wire's outputs, in the order of the rows."""
    got: dict[str, NDArray[Any]] = {
        "label": np.full(len(rows.labels), -1, np.int64),
        "exit_stage": np.zeros(len(rows.labels), np.int32),
        "accepted": np.zeros(len(rows.labels), np.bool_),
    }

    async def keep_sending(client: Client, mine: list[Piece]) -> None:
        while mine:
            piece = mine.pop()
            image = NamedTensor("image", "UINT8", rows.image[piece.rows])
            ask = Ask(inputs=[image], outputs=OUTPUTS, policy=piece.policy)
            reply = await client.send(client.encode(ask))
            if reply.status is not Status.OK:
                sys.exit(f"{piece}: {reply.detail}")
            for name, array in client.decode(reply).outputs.items():
                got[name][piece.rows] = array

    async with asyncio.TaskGroup() as group:
        for client in clients:
            mine = [piece for piece in pieces if piece.protocol == client.target.protocol]
            for _ in range(CONNECTIONS):
                group.create_task(keep_sending(client, mine))
    return got


def at_a_boundary(policy: Policy, played: Replay, probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    """`probabilities` are the members', (members, rows, classes): `agreement` compares their labels."""
    assert played.probabilities is not None
    tied = _is_tied(played.probabilities)
    if policy.kind == "agreement":
        tied |= _is_tied(probabilities).any(axis=0)
    edges = [*policy.thresholds, *policy.accept_above, *policy.accept_above_cut]
    edges += [edge for window in policy.windows for edge in (window.lo, window.hi)]
    finite = np.array([edge for edge in edges if np.isfinite(edge)])
    distances = np.abs(played.stage_scores[:, :, None] - finite)
    return np.asarray(tied | (distances < BOUNDARY).any(axis=(0, 2)))  # NaN, a stage not run, is near nothing


def _is_tied(probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    second, first = np.moveaxis(np.partition(probabilities, -2, axis=-1)[..., -2:], -1, 0)
    return np.asarray(first - second < BOUNDARY)


def outputs_offline(repository: Repository, rows: Digits) -> ScoresFile:
    members = repository.cascade.members
    models = [(repository.path / member.file).read_bytes() for member in members]
    return ScoresFile(
        outputs=np.stack([outputs_of(model, rows) for model in models]),
        kind="logits",
        labels=rows.labels,
        names=tuple(member.name for member in members),
        macs=tuple(member.macs for member in members),
    )


def compare(
    repository: Repository, scores: ScoresFile, pieces: Sequence[Piece], got: dict[str, NDArray[Any]]
) -> list[dict[str, Any]]:
    """Per policy and protocol: rows, rows at a boundary, and how many of either kind differ in what."""
    probabilities = softmax(scores.outputs)
    results = []
    for name, policy in repository.cascade.policies.items():
        played = replay(policy, repository.cascade.stages, scores)
        boundary = at_a_boundary(policy, played, probabilities)
        for protocol in PROTOCOLS:
            sent = _rows_of(pieces, len(boundary), name, protocol)
            differ = {key: (got[key] != getattr(played, key)) & sent for key in OUTPUTS}
            results.append(
                {
                    "policy": name,
                    "protocol": protocol,
                    "rows": int(sent.sum()),
                    "exit_stages": _counts(got["exit_stage"][sent]),
                    "accepted": int(got["accepted"][sent].sum()),
                    "rows_at_a_boundary": int((sent & boundary).sum()),
                    "differ_at_a_boundary": {k: int((d & boundary).sum()) for k, d in differ.items()},
                    "differ_elsewhere": {k: int((d & ~boundary).sum()) for k, d in differ.items()},
                }
            )
            print(results[-1], flush=True)
    return results


def _rows_of(pieces: Sequence[Piece], num_rows: int, policy: str, protocol: str) -> NDArray[np.bool_]:
    sent = np.zeros(num_rows, np.bool_)
    for piece in pieces:
        if (piece.policy, piece.protocol) == (policy, protocol):
            sent[piece.rows] = True
    return sent


def _counts(stages: NDArray[np.int32]) -> dict[str, int]:
    return {str(stage): count for stage, count in sorted(Counter(stages.tolist()).items())}


async def over_the_wire(
    addresses: dict[str, str], model: str, pieces: Sequence[Piece], rows: Digits
) -> dict[str, NDArray[Any]]:
    targets = [parse_target(f"{protocol}://{address}") for protocol, address in addresses.items()]
    async with open_clients(targets, [model], WireOptions()) as clients:
        return await send_all(list(clients.values()), pieces, rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        # Two members in the first stage, so that `agreement` can decide there.
        repository = make_repository(Path(folder), stages=((0, 1), (2,), (3,)))
        rows = draw_rows(options.rows, rng)
        pieces = draw_pieces(options.rows, list(repository.cascade.policies), rng)
        scores = outputs_offline(repository, rows)
        with measured_server(repository.path) as server:
            begin = time.perf_counter()
            addresses = {"http": server.http, "grpc": server.grpc}
            got = asyncio.run(over_the_wire(addresses, repository.cascade.name, pieces, rows))
            seconds = time.perf_counter() - begin
        compared = compare(repository, scores, pieces, got)
    wrong = sum(sum(row["differ_elsewhere"].values()) for row in compared)
    print(f"{wrong} differences away from a boundary, {len(pieces)} requests in {seconds:.1f} s", flush=True)
    write_result(
        options.out,
        rows=options.rows,
        requests=len(pieces),
        differ_elsewhere=wrong,
        compared=compared,
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
