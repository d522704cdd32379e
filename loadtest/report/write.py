"""A report's files."""

from collections.abc import Sequence
from pathlib import Path

from loadtest.figures.assertions import Verdict
from loadtest.figures.results import Results
from loadtest.report.circumstances import Circumstances
from loadtest.report.flows import draw_flows
from loadtest.report.histograms import write_histograms
from loadtest.report.page import page
from loadtest.report.pictures import draw_pictures, write_pictures
from loadtest.report.summary import write_summary

PAGE = "report.html"


def write_report(folder: Path, results: Results, verdicts: Sequence[Verdict], around: Circumstances) -> None:
    """The page, its pictures, the figures for programs and the histograms."""
    pictures, flows = draw_pictures(results), draw_flows(results)
    write_pictures(folder, pictures)
    for each in flows:
        (folder / each.file).write_text(each.svg, encoding="utf-8")
    write_summary(folder, results, verdicts, around)
    write_histograms(folder, results)
    (folder / PAGE).write_text(page(results, verdicts, around, pictures, flows), encoding="utf-8")
