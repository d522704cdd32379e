"""A question in, a folder out."""

from collections.abc import Callable
from pathlib import Path

from cascade.report.folder import PAGE, check_out, write_folder
from cascade.report.page import page
from cascade.report.pictures import draw_pictures
from cascade.report.results import Question, Results, results_of


def write_report(
    question: Question,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Results:
    """Fit, judge, draw, then write `out/report.html` and its pictures, all or nothing."""
    check_out(out, overwrite=overwrite)
    results = results_of(question, progress)
    progress("drawing")
    pictures = draw_pictures(results)
    files = {picture.file: picture.image for picture in pictures if picture.image is not None}
    files[PAGE] = page(results, pictures).encode()
    write_folder(out, files, overwrite=overwrite)
    return results
