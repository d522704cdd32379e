"""A cascade in two versions whose answers differ in every row, and what each of them must answer."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity import OUTPUTS, at_a_boundary, outputs_offline
from benchmarks.keep_alive import Question, Reply, make_question
from cascade.cascade_file import Cascade
from cascade.replay import Replay, replay
from cascade.scores import softmax
from tests.repositories import Digits, Repository, make_repository

NAME = "digits"
MOST_ROWS = 16
TOLERANCE = 1e-4
"""Of a probability. Batches of other sizes may change its last bits."""


@dataclass(frozen=True)
class TwoVersions:
    """One repository, with cascades of odd and of even version: other members in another order.

    `expected[parity][policy]` is the replay of all `images`; `rows` are those at no boundary of either.
    """

    file: Path
    images: NDArray[np.uint8]
    rows: NDArray[np.intp]
    cascades: Mapping[int, Cascade]
    expected: Mapping[int, Mapping[str, Replay]]

    def cascade(self, version: int) -> Cascade:
        return replace(self.cascades[version % 2], version=version)

    def draw_questions(self, count: int, rng: np.random.Generator) -> list[Question]:
        policies = list(self.cascades[1].policies)
        questions = []
        for _ in range(count):
            rows = rng.choice(self.rows, int(rng.integers(1, MOST_ROWS + 1)), replace=False)
            questions.append(make_question(NAME, self.images, rows, str(rng.choice(policies))))
        return questions

    def is_right(self, asked: Question, reply: Reply) -> bool:
        """Whether every row is as the version that the answer names must give it."""
        expected = self.expected[reply.version % 2][asked.policy]
        same = [np.array_equal(reply.outputs[key], getattr(expected, key)[asked.rows]) for key in OUTPUTS]
        differences = np.abs(reply.outputs["probabilities"] - _probabilities(expected)[asked.rows])
        return all(same) and bool(differences.max() < TOLERANCE)


def two_versions(folder: Path) -> TwoVersions:
    """The repository is `folder`, whose file is of version 1."""
    odd = make_repository(folder, name=NAME)
    even = _beside(folder, make_repository(folder.with_suffix(".even"), stages=((2,), (0,), (1,)), seed=1))
    both = {1: odd, 0: even}
    expected = {parity: _played(repository, odd.test) for parity, repository in both.items()}
    is_certain = ~np.any(
        [_is_uncertain(repository, expected[parity], odd.test) for parity, repository in both.items()], axis=0
    )
    _check_distinct(expected, is_certain)
    cascades = {parity: repository.cascade for parity, repository in both.items()}
    return TwoVersions(odd.file, odd.test.image, np.flatnonzero(is_certain), cascades, expected)


def _beside(folder: Path, other: Repository) -> Repository:
    """The other's members as version 2 of those in `folder`."""
    for member in other.cascade.members:
        shutil.copytree(other.path / member.name / "1", folder / member.name / "2")
    members = tuple(replace(member, version=2) for member in other.cascade.members)
    return replace(other, path=folder, cascade=replace(other.cascade, members=members))


def _played(repository: Repository, rows: Digits) -> dict[str, Replay]:
    scores = outputs_offline(repository, rows)
    cascade = repository.cascade
    return {name: replay(policy, cascade.stages, scores) for name, policy in cascade.policies.items()}


def _is_uncertain(repository: Repository, played: Mapping[str, Replay], rows: Digits) -> NDArray[np.bool_]:
    probabilities = softmax(outputs_offline(repository, rows).outputs)
    policies = repository.cascade.policies.items()
    each = [at_a_boundary(policy, played[name], probabilities) for name, policy in policies]
    return np.asarray(np.any(each, axis=0))


def _check_distinct(expected: Mapping[int, Mapping[str, Replay]], rows: NDArray[np.bool_]) -> None:
    for name in expected[1]:
        one, other = (_probabilities(played[name])[rows] for played in expected.values())
        assert np.abs(one - other).max(axis=1).min() > 2 * TOLERANCE, name


def _probabilities(played: Replay) -> NDArray[np.float64]:
    assert played.probabilities is not None
    return played.probabilities
