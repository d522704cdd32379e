"""How long to wait before what died is started again."""

from dataclasses import dataclass


@dataclass
class Backoff:
    """`first_s`, then twice as long each time up to `longest_s`. Who lived for `steady_s` is no longer one
    that dies at once, and is started again after the first pause."""

    first_s: float = 0.5
    longest_s: float = 30.0
    steady_s: float = 60.0
    _next_s: float = 0.0

    def pause_s(self, lived_s: float) -> float:
        """After one that lived so long."""
        pause_s = self.first_s if lived_s > self.steady_s else max(self._next_s, self.first_s)
        self._next_s = min(2 * pause_s, self.longest_s)
        return pause_s
