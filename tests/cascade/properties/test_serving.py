"""The serving gate, fed in random pieces, gives every row what the replay gives it."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.calibrator import Calibrator
from cascade.cascade_file import Cascade, Member, TensorSpec
from cascade.policy import KINDS, Policy
from cascade.replay import replay
from cascade.scores import SCORES
from cascade.scores_file import ScoresFile
from cascade.stages import Stages
from cascade.window import NOTHING, Tie, Window
from serving.gate import Gate
from serving.jobs import Batch, Job, Terms, Work
from serving.served import ServedCascade
from tests.serving.scheduling.test_scheduler import Curved

NAMES = ("a", "b", "c", "d")
ALL_STAGES: tuple[Stages, ...] = (
    (("a",), ("b",), ("c",), ("d",)),
    (("a",), ("b", "c"), ("d",)),
    (("b", "a"), ("c", "d")),
    (("d",), ("a", "b", "c")),
    (("a", "b", "c", "d"),),
)
ROWS = 120


def outputs(seed: int) -> ScoresFile:
    """Four members; the first two saturate on many rows, so that these tie at an MSP of exactly 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, ROWS)
    logits = rng.exponential(3.0, (1, ROWS, 1)) * np.eye(4)[labels] + rng.normal(0, 1, (4, ROWS, 4))
    logits[:2, rng.random(ROWS) < 0.5] *= 1000
    return ScoresFile(
        outputs=logits.astype(np.float32), kind="logits", labels=labels, names=NAMES, macs=(1.0,) * 4
    )


@dataclass(frozen=True)
class Drawn:
    """What a random policy is made from."""

    stages: Stages
    kind: str
    score: str
    seed: int
    weighted: bool
    heated: bool
    tied: bool

    def policy(self) -> Policy:
        rng = np.random.default_rng(self.seed)
        num_stages, deciding = len(self.stages), len(self.stages) - 1
        sizes = np.cumsum([len(stage) for stage in self.stages])
        windows = tuple(Window(*np.sort(rng.uniform(0.2, 1.01, 2))) for _ in range(deciding))
        closed = tuple(NOTHING if rng.random() < 0.1 else window for window in windows)
        return Policy(
            kind=self.kind,
            num_stages=num_stages,
            score=self.score,
            windows=closed if self.kind == "window" else (),
            thresholds=tuple(rng.uniform(0.4, 1.1, deciding)) if self.kind == "threshold" else (),
            ties=tuple((Tie(1.0, float(rng.random())),) for _ in range(deciding)) if self.tied else (),
            tie_seed=self.seed,
            weights=tuple(tuple(rng.uniform(0.01, 1, size)) for size in sizes) if self.weighted else (),
            temperatures=tuple(rng.uniform(0.5, 3, sizes[-1])) if self.heated else (),
            calibrators=tuple(Calibrator((0.2, 0.6, 1.0), (0.1, 0.5, 0.9)) for _ in range(num_stages)),
            accept_above=tuple(rng.uniform(0.3, 0.9, num_stages)),
            accept_above_cut=tuple(rng.uniform(0.3, 0.9, num_stages)),
        )


def served(drawn: Drawn, policy: Policy) -> ServedCascade:
    names = [name for stage in drawn.stages for name in stage]
    cascade = Cascade(
        name="c",
        version=1,
        inputs=(TensorSpec(name="row", datatype="INT64", shape=(-1, 1)),),
        classes=("0", "1", "2", "3"),
        members=tuple(Member(name=n, version=1, sha256="", macs=1, inputs={"row": "row"}) for n in names),
        stages=drawn.stages,
        policies={"it": policy},
        default_policy="it",
    )
    return ServedCascade(cascade, tuple(map(Curved, names)))


def split(works: list[Work], rng: np.random.Generator) -> list[Work]:
    """Some of the works in two pieces."""
    pieces = []
    for work in works:
        if len(work.rows) > 1 and rng.random() < 0.5:
            first, work.rows = work.split(int(rng.integers(1, len(work.rows))))
            pieces += [first, work]
        else:
            pieces.append(work)
    return pieces


def entering(job: Job, rows: np.ndarray, stage: int) -> list[Work]:
    return [Work(job, rows, stage, slot, 0.0) for slot in job.served.stage_slots[stage]]


def run(jobs: list[Job], scores: ScoresFile, rng: np.random.Generator) -> None:
    """Until no row waits: some pieces waiting for one member, in any order, make a batch."""
    gate = Gate()
    waiting = [work for job in jobs for work in entering(job, np.arange(job.num_rows), 0)]
    while waiting:
        slot = waiting[int(rng.integers(len(waiting)))].slot
        same = split([work for work in waiting if work.slot == slot], rng)
        others = [work for work in waiting if work.slot != slot]
        order = rng.permutation(len(same))
        taken = int(rng.integers(1, len(same) + 1))
        batch = [same[place] for place in order[:taken]]
        waiting = others + [same[place] for place in order[taken:]]
        member = scores.member(batch[0].job.served.slot_names[slot])
        rows = np.concatenate([work.job.inputs["row"][work.rows, 0] for work in batch])
        gated = gate.pass_through(Batch(batch[0].job.served.slots[slot], batch), scores.outputs[member, rows])
        assert not gated.failed
        for exits in gated.exits:
            exits.job.remaining -= len(exits.rows)
        for work in gated.forwarded:
            waiting += entering(work.job, work.rows, work.stage + 1)


drawn_policies = st.builds(
    Drawn,
    stages=st.sampled_from(ALL_STAGES),
    kind=st.sampled_from(KINDS),
    score=st.sampled_from(["msp", "msp", "msp", *SCORES, "class=1"]),
    seed=st.integers(0, 10**6),
    weighted=st.booleans(),
    heated=st.booleans(),
    tied=st.booleans(),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn=drawn_policies, seed=st.integers(0, 10**6), num_jobs=st.integers(1, 9))
def test_the_gate_agrees_with_the_replay_row_by_row(drawn: Drawn, seed: int, num_jobs: int) -> None:
    rng = np.random.default_rng(seed)
    scores, policy = outputs(seed), drawn.policy()
    cascade = served(drawn, policy)
    pieces = [piece for piece in np.array_split(rng.permutation(ROWS), num_jobs) if len(piece)]
    limits = [(None, None, 1, 2)[int(rng.integers(4))] for _ in pieces]
    jobs = [
        Job(cascade, "it", policy, limit, {"row": piece.reshape(-1, 1)}, Terms(arrived_s=0.0, number=number))
        for number, (piece, limit) in enumerate(zip(pieces, limits, strict=True))
    ]
    run(jobs, scores, rng)
    for job, piece, limit in zip(jobs, pieces, limits, strict=True):
        played = replay(policy, drawn.stages, scores.rows(piece), limit)
        assert job.remaining == 0
        for name in ("label", "accepted", "exit_stage", "exit_reason"):
            assert np.array_equal(getattr(job.answer, name), getattr(played, name)), name
        for name in ("probabilities", "score", "confidence"):
            expected = getattr(played, name).astype(np.float32)
            assert np.array_equal(getattr(job.answer, name), expected), name


def test_the_random_policies_do_divide_plateaus() -> None:
    """The property above would hold of policies that let every row go: these do not."""
    drawn = Drawn(ALL_STAGES[1], "window", "msp", 1, weighted=True, heated=True, tied=True)
    scores, policy = outputs(1), drawn.policy()
    first = replay(policy, drawn.stages, scores)
    assert (first.stage_scores[0] == 1.0).mean() > 0.3
    assert len(set(first.exit_stage.tolist())) == 3
    other = replay(replace(policy, tie_seed=2), drawn.stages, scores)
    changed = first.exit_stage != other.exit_stage
    assert 5 < changed.sum() < 60
    assert (np.nanmax(first.stage_scores[:, changed], axis=0) == 1.0).all()
