import math
import re
from dataclasses import replace

from cascade.intervals import Estimate
from loadtest.figures.results import Results
from loadtest.figures.statistics import Latency, ServerFigures
from loadtest.report.tables import marks, quality_table, speed_table, stage_table, under_load_table


def lines_of(table: str) -> list[list[str]]:
    """Texts of the cells, an interval after its figure."""
    rows = re.findall(r"<tr.*?</tr>", table.partition("<tbody>")[2])
    return [
        [re.sub(r"<[^>]+>", " ", cell).strip() for cell in re.findall(r"<td.*?</td>", row)] for row in rows
    ]


def only(results: Results, **changes: object) -> Results:
    """The first case alone, changed."""
    return replace(results, cases=(replace(results.cases[0], **changes),))  # type: ignore[arg-type]


def test_contenders_that_answer_alike_over_all_protocols_share_a_line(results: Results) -> None:
    lines = lines_of(quality_table(results))
    assert [line[:2] for line in lines] == [
        ["first", "http, grpc"],
        ["window", "http, grpc"],
        ["full", "http, grpc"],
    ]
    assert lines[1][2] == "90.0% 59.6 to 98.2"
    assert lines[1][-3:] == ["80.0 / 20.0", "16", "1.60×"]
    differing = replace(results, disagreements={"first": 0, "window": 3, "full": 0})
    assert [line[:2] for line in lines_of(quality_table(differing))] == [
        ["first", "http, grpc"],
        ["window", "http"],
        ["window", "grpc"],
        ["full", "http, grpc"],
    ]


def test_speed_is_told_with_what_the_server_spent(results: Results) -> None:
    case = results.cases[0]
    latency = Latency(num_samples=100, p50_ms=1.0, p90_ms=20.0, p99_ms=math.inf, max_ms=math.inf)
    server = ServerFigures(cpu_ms=1.5, member_ms={"a": 0.5, "b": 0.25, "c": 0.0}, queue_ms=0.125)
    load = replace(case.load, latency=latency, service=None, rows_per_s=99.5, server=server)
    assert case.capacity is not None
    spent = ServerFigures(cpu_ms=None, member_ms=None, queue_ms=None)
    capacity = replace(case.capacity, rows_per_s=2000.0, turns=(1900.0, 2100.0), server=spent)
    (line,) = lines_of(speed_table(only(results, load=load, capacity=capacity)))
    assert line == [
        *("first", "http", "1.00", "20.0", "no answer", "–", "–", "99.5"),
        *("1.50", "0.75 0.50 + 0.25", "0.12", "2,000 1,900 to 2,100", "–"),
    ]


def test_under_load_tells_what_a_client_met(results: Results) -> None:
    known = Estimate(0.75, 0.7, 0.8)
    figures = replace(
        results.cases[0].under_load,
        accuracy=known,
        answered_accuracy=Estimate(0.9, 0.85, 0.95),
        degraded=0.1,
        shed=0.2,
        failed=0.05,
        good=0.6,
        kept=0.8,
    )
    (line,) = lines_of(under_load_table(only(results, under_load=figures)))
    assert line[2] == "100"
    assert line[4:6] == ["75.0% 70.0 to 80.0", "90.0% 85.0 to 95.0"]
    assert line[-5:] == ["10.0%", "20.0%", "5.0%", "60.0%", "80.0%"]


def test_a_stage_that_few_requests_leave_at_has_no_p99(results: Results) -> None:
    many = Latency(num_samples=100, p50_ms=1.0, p90_ms=2.0, p99_ms=3.0, max_ms=4.0)
    load = replace(results.cases[0].load, by_exit_stage={1: many, 2: replace(many, num_samples=99)})
    (line,) = lines_of(stage_table(only(results, load=load)))
    assert line[2:] == ["100", "1.00", "3.00", "99", "1.00", "–"]


def test_marks_are_explained_where_there_are_any(results: Results, invalid: Results) -> None:
    assert marks(results) == ""
    assert marks(invalid) == " * marks figures that the generator itself may limit."
