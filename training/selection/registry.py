"""The selections by name: the rule, what it works on, and what is usual for it. Nothing here needs torch."""

from dataclasses import dataclass

from training.selection.rules import Choose, at_random, everything, hardest, informative, least_recent

BATCH = "batch"
ROW = "row"
UNITS = (BATCH, ROW)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is usual: `unit` chosen, rounds after which rows are dealt anew (0: never), full-data finish.

    choose: None where the choice is made among candidates that have been run forward.
    """

    choose: Choose | None
    about: str
    unit: str = BATCH
    reshuffle_every: int = 0
    finish: float = 0.0
    is_weighted: bool = False
    needs_earlier: bool = False

    @property
    def is_by_round(self) -> bool:
        return self.choose is not None


TOP_K = "top-k"
SELECTIVE_BACKPROP = "selective-backprop"

SELECTIONS = {
    "none": Selection(choose=everything, reshuffle_every=1, about="every row, shuffled anew each pass"),
    "hard-batch": Selection(choose=hardest, about="the batches of highest last loss (arXiv 2304.03486)"),
    "random-batch": Selection(choose=at_random, about="a random share: a control"),
    "least-recent": Selection(choose=least_recent, about="those left out longest: a control"),
    "infobatch": Selection(
        choose=informative,
        unit=ROW,
        finish=0.125,
        is_weighted=True,
        about="rows below the mean loss kept with chance delta and weighted up (arXiv 2303.04947)",
    ),
    TOP_K: Selection(choose=None, unit=ROW, about="the hardest of candidates run forward (OHEM)"),
    SELECTIVE_BACKPROP: Selection(
        choose=None, unit=ROW, about="candidates kept by the rank of their loss (arXiv 1910.00762)"
    ),
    "cascade-aware": Selection(
        choose=everything,
        unit=ROW,
        needs_earlier=True,
        about="what the members before would forward to this one",
    ),
}
