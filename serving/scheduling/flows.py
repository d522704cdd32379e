"""How rows travel: those that share cascade, policy and urgency, and how many of them each stage forwards."""

from collections.abc import Sequence

PRIOR_ROWS = 16.0
PRIOR_SHARE = 0.5
BACKGROUND_LEVEL = 4
"""Of the server's own work, which is done where there is nothing else to do."""

BACKGROUND_LANE = "in the background"
"""No cascade is called so."""

MEMORY_ROWS = 4096.0
"""Rows that the share forwarded is learnt from; older ones are forgotten."""


class Flow:
    """`rows[stage]` are under way there, waiting or running; `rest_s[stage]` is the work that a row still
    means from there on, in seconds of one worker, at full batches; `depth` how many stages it may see."""

    __slots__ = ("_forwarded", "_seen", "depth", "lane", "level", "num_rows", "rest_s", "rows")

    def __init__(
        self,
        lane: str,
        level: int,
        num_stages: int,
        depth: int,
        known_forwarded: Sequence[float] | None = None,
    ) -> None:
        """`known_forwarded` are the shares of all rows that are expected to leave each stage for the next."""
        self.lane = BACKGROUND_LANE if level == BACKGROUND_LEVEL else lane
        self.depth = depth
        self.level = level
        self.rows = [0] * num_stages
        self.num_rows = 0
        self.rest_s = [0.0] * num_stages
        self._seen = [PRIOR_ROWS] * num_stages
        self._forwarded = [PRIOR_ROWS * share for share in _shares(known_forwarded, num_stages)]

    @property
    def is_background(self) -> bool:
        return self.level == BACKGROUND_LEVEL

    @property
    def work_s(self) -> float:
        return sum(rows * rest for rows, rest in zip(self.rows, self.rest_s, strict=True))

    def share_forwarded(self, stage: int) -> float:
        return self._forwarded[stage] / self._seen[stage]

    def enter(self, stage: int, num_rows: int) -> None:
        self.rows[stage] += num_rows
        self.num_rows += num_rows

    def leave(self, stage: int, num_rows: int) -> None:
        self.rows[stage] -= num_rows
        self.num_rows -= num_rows

    def decided(self, stage: int, num_rows: int, num_forwarded: int) -> None:
        """A stage has judged rows."""
        self._seen[stage] += num_rows
        self._forwarded[stage] += num_forwarded
        if self._seen[stage] > MEMORY_ROWS:
            self._seen[stage] /= 2
            self._forwarded[stage] /= 2

    def price(self, stage_s: Sequence[float]) -> None:
        """Work out `rest_s` from what a row costs at each stage."""
        rest = 0.0
        for stage in reversed(range(self.depth)):
            rest = stage_s[stage] + self.share_forwarded(stage) * rest
            self.rest_s[stage] = rest


def _shares(known_forwarded: Sequence[float] | None, num_stages: int) -> list[float]:
    """Of the rows that reach each stage, those that go on."""
    if known_forwarded is None:
        return [PRIOR_SHARE] * num_stages
    reaching = [1.0, *known_forwarded]
    pairs = zip(reaching[1:], reaching, strict=False)
    return [min(1.0, after / before) if before > 0 else 0.0 for after, before in pairs] + [0.0]
