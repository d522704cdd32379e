"""The measured figures as one table in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def table(rows: Sequence[Row], ideal_rows_per_s: float) -> str:
    """A line for each system and protocol; for each number of clients rows a second, p50 and p99."""
    clients = sorted({row["clients"] for row in rows})
    titles = [f"{number} client{'s' if number > 1 else ''}: rows/s, p50, p99 ms" for number in clients]
    head = ["server", "over", *titles, f"server CPU-ms a row at {clients[-1]}"]
    lines = [head, ["---"] * len(head)]
    for name, protocol in dict.fromkeys(map(_server, rows)):
        by_clients = {row["clients"]: row for row in rows if _server(row) == (name, protocol)}
        last = by_clients[clients[-1]]["server_cpu_ms_per_row"]
        lines.append([name, protocol, *(_cell(by_clients[number]) for number in clients), f"{last:.2f}"])
    lines.append(["offline ideal", "", *[f"{ideal_rows_per_s:,.0f}"] * len(clients), ""])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _server(row: Row) -> tuple[str, str]:
    return row["system"], row["protocol"]


def _cell(row: Row) -> str:
    return f"{row['rows_per_s']['median']:,.0f}, {row['p50_ms']:.1f}, {row['p99_ms']:.1f}"
