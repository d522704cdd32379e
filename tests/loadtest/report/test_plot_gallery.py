"""What is drawn, read off the artists."""

from dataclasses import replace

import numpy as np

from loadtest.case import Case
from loadtest.figures.results import Results
from loadtest.report.plot_gallery import draw_gallery
from loadtest.report.plot_style import png
from loadtest.traffic.samples import Samples
from loadtest.wire.tensors import NamedTensor


def renamed(case: Case, classes: tuple[str, ...]) -> Case:
    assert case.cascade is not None
    served = replace(case.served, cascade=replace(case.cascade, classes=classes))
    return replace(case, served=served)


def test_class_names_are_drawn_as_they_are_and_cut_to_the_image(results: Results) -> None:
    """matplotlib would read `$5_$` as mathematics, and fail."""
    classes = ("$5_$", "a name that is much too long for an image")
    cases = tuple(replace(result, case=renamed(result.case, classes)) for result in results.cases)
    images = NamedTensor("x", "UINT8", np.zeros((10, 8, 8, 1), np.uint8))
    samples = Samples(inputs=(images,), labels=results.campaign.samples.labels)
    changed = replace(results.campaign, samples=samples, ood=None)
    figure = draw_gallery(replace(results, campaign=changed, cases=cases))
    assert figure is not None
    assert png(figure).startswith(b"\x89PNG")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == 10
    assert sum(title.startswith("$5_$ ") for title in titles) == 5
    assert sum(title[0] == "a" and "…" in title and title.endswith("%") for title in titles) == 5


def test_rows_that_are_no_images_are_not_drawn(results: Results) -> None:
    assert draw_gallery(results) is None
