import pytest

from cascade.errors import FormatError
from cascade.stages import parse_stages

MEMBERS = ("m-0", "m-1", "m-2")


def test_without_stages_every_member_is_one() -> None:
    assert parse_stages(None, MEMBERS) == (("m-0",), ("m-1",), ("m-2",))


def test_stages_take_members_by_number_in_any_order() -> None:
    assert parse_stages("2;1, 0", MEMBERS) == (("m-2",), ("m-1", "m-0"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not of the form"),
        ("0;one;2", "not of the form"),
        ("0;;1", "not of the form"),
        ("0;1;3", "there are members 0 to 2"),
        ("0;-1", "there are members 0 to 2"),
        ("0;1;1", "a member stands twice"),
    ],
)
def test_stages_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parse_stages(text, MEMBERS)
