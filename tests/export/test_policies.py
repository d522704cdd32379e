from export.policies import kinds_for


def test_a_single_stage_has_nobody_to_agree_with() -> None:
    assert kinds_for((("a",), ("b",))) == ("first", "threshold", "window", "agreement", "full")
    assert kinds_for((("a", "b"),)) == ("first", "threshold", "window", "full")
