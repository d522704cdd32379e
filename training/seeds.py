"""Independent random streams for one member: no draw of one purpose shifts another's."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Member i of seed s shares no stream with member j of seed t, unless both are equal."""

    seed: int
    member: int

    @property
    def torch_global(self) -> int:
        """For torch's global generator: initial weights and dropout draw from it and from no other."""
        return int(self._stream(0).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def torch_global_of(self, rank: int) -> int:
        """Of one of several processes, once the model is built: dropout is to differ between its rows."""
        return int(self._stream(3 + rank).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def plan(self) -> np.random.Generator:
        return np.random.default_rng(self._stream(1))

    def augmentation(self) -> torch.Generator:
        return torch.Generator().manual_seed(
            int(self._stream(2).generate_state(1, np.uint64)[0] >> np.uint64(1))
        )

    def _stream(self, purpose: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=(self.member, purpose))
