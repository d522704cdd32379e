import pytest

from loadtest.report.plot_style import contender_colours, stage_colours


@pytest.mark.parametrize("num_stages", [1, 3, 12])
def test_each_stage_has_a_colour_of_its_own(num_stages: int) -> None:
    assert len(set(stage_colours(num_stages))) == num_stages


def test_usual_policies_keep_their_colour_whatever_stands_beside_them() -> None:
    few, many = contender_colours(["window"]), contender_colours(["mine", "full", "window", "other"])
    assert few["window"] == many["window"] == "#0072b2"
    assert len(set(many.values())) == 4
