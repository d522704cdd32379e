import re
from xml.etree import ElementTree

import pytest

from loadtest.figures.flow import Exit, Flow, Outflow
from loadtest.report.flow_svg import THICKNESS, described, flow_svg

NOTHING = Outflow(share=0.0, accuracy=float("nan"))
FLOW = Flow(
    exits=(
        Exit(stage=1, accepted=Outflow(share=0.6, accuracy=0.98), rejected=Outflow(share=0.2, accuracy=0.5)),
        Exit(stage=2, accepted=Outflow(share=0.2, accuracy=0.9), rejected=NOTHING),
        Exit(stage=3, accepted=NOTHING, rejected=NOTHING),
    )
)
SVG = "{http://www.w3.org/2000/svg}"


def drawn() -> ElementTree.Element:
    return ElementTree.fromstring(flow_svg(FLOW, ("a", "b <&> c", "d"), "Flow of x"))


def test_streams_are_as_wide_as_their_shares() -> None:
    """What leaves bends from its outer circle to its inner one."""
    widths = []
    for path in drawn().iter(f"{SVG}path"):
        outer, inner = (float(radius) for radius in re.findall(r"A ([0-9.]+) ", path.attrib["d"]))
        widths.append((outer - inner) / THICKNESS)
    assert widths == pytest.approx([0.2, 0.6, 0.2], abs=1e-3)
    heights = [float(rect.attrib["height"]) / THICKNESS for rect in drawn().findall(f"{SVG}rect")]
    assert heights == pytest.approx([1.0, 0.2, 1.0, 0.2], abs=1e-3)


def test_texts_tell_shares_and_accuracies_at_each_exit() -> None:
    texts = ["".join(text.itertext()) for text in drawn().iter(f"{SVG}text")]
    assert "stage 2: b <&> c" in texts
    assert "sees 20.0% of the rows" in texts
    assert "80.0% leave at stage 1" in texts
    assert "60.0% accepted, of these 98.0% right" in texts
    assert "20.0% rejected, of these 50.0% right" in texts
    assert "none rejected" in texts
    assert "no row comes here" in texts


def test_those_who_see_no_picture_are_told_it() -> None:
    assert drawn().attrib["aria-label"] == described(FLOW, "Flow of x")
    assert described(FLOW, "Flow of x") == (
        "Flow of x. Of all rows 80.0% leave at stage 1: 60.0% accepted, of these 98.0% right, 20.0% "
        "rejected, of these 50.0% right; 20.0% leave at stage 2: 20.0% accepted, of these 90.0% right, none "
        "rejected."
    )
