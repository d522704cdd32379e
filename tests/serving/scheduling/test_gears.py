"""When a cascade changes to a cheaper policy, and back."""

from serving.scheduling.gears import CALM_S, SETTLE_S, Gearbox

PLENTY, SCARCE = 1e6, 1.0
"""Rows a second that the dearer gear could serve."""


def arrive(box: Gearbox, begin_s: float, seconds: float, pressure: float, room: float = PLENTY) -> list[int]:
    """One row each 10 ms; the gears that were engaged, in order."""
    seen = [box.number]
    for number in range(round(seconds * 100)):
        box.arrived(1, pressure, room, begin_s + number / 100)
        if box.number != seen[-1]:
            seen.append(box.number)
    return seen


def test_under_pressure_it_goes_down_step_by_step() -> None:
    box = Gearbox(3)
    assert arrive(box, 0.0, SETTLE_S - 0.02, pressure=0.9) == [0, 1]
    assert arrive(box, SETTLE_S, 2.0, pressure=0.9) == [1, 2]


def test_between_the_bounds_nothing_changes() -> None:
    box = Gearbox(3)
    assert arrive(box, 0.0, 5.0, pressure=0.4) == [0]
    arrive(box, 5.0, 0.05, pressure=0.9)
    assert arrive(box, 6.0, 5.0, pressure=0.4) == [1]


def test_after_a_while_of_calm_it_goes_up_step_by_step() -> None:
    box = Gearbox(3)
    arrive(box, 0.0, 1.0, pressure=0.9)
    assert arrive(box, 1.0, CALM_S - 0.05, pressure=0.0) == [2]
    assert arrive(box, 1.0 + CALM_S, CALM_S, pressure=0.0) == [2, 1]
    assert arrive(box, 1.0 + 2 * CALM_S, 2 * CALM_S, pressure=0.0) == [1, 0]


def test_calm_is_not_enough_where_the_dearer_gear_has_no_room() -> None:
    box = Gearbox(2)
    arrive(box, 0.0, 1.0, pressure=0.9)
    assert arrive(box, 1.0, 10 * CALM_S, pressure=0.0, room=SCARCE) == [1]
    assert arrive(box, 1.0 + 10 * CALM_S, 2 * CALM_S, pressure=0.0, room=200.0) == [1, 0]


def test_a_pause_is_calm() -> None:
    box = Gearbox(2)
    arrive(box, 0.0, 1.0, pressure=0.9)
    box.arrived(1, 0.0, PLENTY, 1.0 + 3 * CALM_S)
    assert box.number == 0


def test_it_can_be_told_to_go_down_but_not_faster_than_can_be_felt() -> None:
    box = Gearbox(3)
    assert [box.down(now_s) for now_s in (0.0, SETTLE_S / 2, SETTLE_S, 1.0)] == [True, False, True, False]
    assert box.number == 2


def test_a_single_gear_stays() -> None:
    assert arrive(Gearbox(1), 0.0, 3.0, pressure=2.0) == [0]
