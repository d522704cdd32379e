"""Time blocks in which contenders take turns, so that drift of the machine cancels. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np

from loadtest.case import Case

# Apart from the streams that the schedule is drawn from.
ORDER_STREAM = 1000


@dataclass(frozen=True)
class Block:
    """One case through one spell of the schedule."""

    number: int
    case: Case
    begin_s: float
    end_s: float


def num_blocks(duration_s: float, block_s: float) -> int:
    return max(1, ceil(duration_s / block_s - 1e-9))


def draw_blocks(duration_s: float, block_s: float, cases: Sequence[Case], seed: int) -> list[Block]:
    """Spells of equal length, at most `block_s`. Each spell is played by every case before the next one
    begins, in an order drawn anew."""
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(ORDER_STREAM,)))
    number = num_blocks(duration_s, block_s)
    edges = np.linspace(0.0, duration_s, number + 1).tolist()
    return [
        Block(spell, cases[which], begin, end)
        for spell, (begin, end) in enumerate(pairwise(edges))
        for which in generator.permutation(len(cases)).tolist()
    ]
