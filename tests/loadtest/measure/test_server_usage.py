import asyncio
from collections.abc import Mapping
from typing import Any, cast

from loadtest.errors import TargetError
from loadtest.measure.server_usage import ServerUsage, measured_server, summed
from loadtest.wire.model_statistics import ModelStatistics


class Told:
    """A client whose server says these numbers of rows, one reading after the other; None is a failure."""

    def __init__(self, *rows: int | None, cpu_s: float | None = None) -> None:
        self._rows = list(rows)
        self._cpu_s = cpu_s

    async def statistics(self) -> Mapping[str, ModelStatistics]:
        rows = self._rows.pop(0) if len(self._rows) > 1 else self._rows[0]
        if rows is None:
            raise TargetError("down")
        return {"m": ModelStatistics(rows=rows)}

    async def server_cpu_s(self) -> float | None:
        if self._cpu_s is not None:
            self._cpu_s += 1.5
        return self._cpu_s


def measured(*clients: Told) -> ServerUsage:
    async def run() -> ServerUsage:
        async with measured_server(*cast(Any, clients)) as usage:
            pass
        return usage

    return asyncio.run(run())


def rows(usage: ServerUsage) -> int | None:
    return None if usage.statistics is None else usage.statistics["m"].rows


def test_rows_counted_a_moment_after_the_answer_are_waited_for() -> None:
    assert rows(measured(Told(100, 103, 107, 110, 110))) == 10


def test_nothing_is_told_of_a_server_that_failed_or_began_anew() -> None:
    assert rows(measured(Told(100, None))) is None
    assert rows(measured(Told(100, 5, 5))) is None


def test_cpu_time_may_be_told_by_another_protocol_of_the_server() -> None:
    usage = measured(Told(0), Told(0, cpu_s=1.0))
    assert usage.cpu_s == 1.5
    assert measured(Told(0)).cpu_s is None


def test_blocks_add_up_where_all_of_them_tell() -> None:
    one = ServerUsage(1.0, {"m": ModelStatistics(rows=3)})
    both = summed([one, ServerUsage(2.0, {"m": ModelStatistics(rows=4)})])
    assert (both.cpu_s, rows(both)) == (3.0, 7)
    silent = summed([one, ServerUsage()])
    assert (silent.cpu_s, silent.statistics) == (None, None)
