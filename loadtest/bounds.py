"""What a load test may be asked for at most, and how arguments are held to it."""

import math

from loadtest.errors import ConfigError

# A load test must end, and must not eat the machine that it runs on.
MAX_REQUESTS = 1_000_000
MAX_SECONDS = 3600.0
MAX_ROWS_PER_REQUEST = 4096
MAX_IN_FLIGHT = 10_000
# Bodies of one block are all made beforehand, and must fit in memory.
MAX_BODY_BYTES = 1 << 30
MAX_PROCESSES = 64
MAX_BURSTINESS = 20.0


def expect_within(name: str, value: float, largest: float) -> None:
    if not (math.isfinite(value) and 0 < value <= largest):
        raise ConfigError(f"{name} {value:g} is not above 0 and at most {largest:g}")


def expect_whole(name: str, value: int, largest: int) -> None:
    if not 1 <= value <= largest:
        raise ConfigError(f"{name} {value} is not within 1 to {largest}")
