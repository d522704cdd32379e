import re
from pathlib import Path

import pytest

from loadtest.figures.assertions import judged, parse_assertion
from loadtest.figures.results import Results
from loadtest.report.circumstances import Circumstances
from loadtest.report.write import write_report
from tests.loadtest.report.conftest import AROUND, KEPT_UP, checked
from tests.loadtest.tiny_campaign import results_of
from tests.loadtest.tiny_server import TinyServer


@pytest.fixture(scope="module")
def report(measured: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    results = checked(measured, KEPT_UP)
    write_report(folder, results, judged([parse_assertion("accuracy>0.8")], results), AROUND)
    return folder


def test_a_report_is_a_page_with_its_pictures_figures_and_histograms(report: Path) -> None:
    names = {path.name for path in report.iterdir()}
    assert {"report.html", "summary.json", "summary.csv", "flow.svg"} <= names
    assert {"cost-and-quality.png", "exits.png", "latency.png", "timeline.png", "risk-coverage.png"} <= names
    assert {f"latency-{c}-{o}.hlog" for c in ("first", "window", "full") for o in ("http", "grpc")} <= names


def test_the_page_needs_nothing_from_elsewhere_and_names_its_pictures(report: Path) -> None:
    html = (report / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert html.count("<img ") == len(re.findall(r'<img alt="[^"]{40,}"', html))
    assert "http://" not in re.sub(r'xmlns="[^"]*"', "", html)


def test_the_page_tells_assertions_and_no_invalid_run(report: Path) -> None:
    html = (report / "report.html").read_text()
    assert "INVALID RUN" not in html
    assert "Valid run</b>: the generator kept up: p99 of its lag at most 0.25 ms" in html
    assert "All that was asserted holds" in html
    assert '<li class="holds"><code>accuracy&gt;0.8</code>' in html


def test_an_invalid_run_is_told_first(invalid: Results, around: Circumstances, tmp_path: Path) -> None:
    write_report(tmp_path, invalid, judged([parse_assertion("accuracy>0.95")], invalid), around)
    html = (tmp_path / "report.html").read_text()
    assert html.index("INVALID RUN") < html.index("1 of 1 assertions failed") < html.index('class="lead"')
    assert "<li>--processes 2 (now 1)</li>" in html


def test_plain_models_have_a_report_of_their_own(
    server: TinyServer, around: Circumstances, tmp_path: Path
) -> None:
    results = results_of(server, tmp_path, "window", models=("tiny", "tiny-0"), capacity_s=0)
    write_report(tmp_path, results, [], around)
    html = (tmp_path / "report.html").read_text()
    assert "tiny: cascade version 3, 2 stages, 2 members; tiny-0: plain model" in html
    plain = results_of(server, tmp_path, models=("tiny-0",), capacity_s=0)
    write_report(tmp_path, plain, [], around)
    assert "How rows run through" not in (tmp_path / "report.html").read_text()
