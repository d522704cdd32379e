from loadtest.measure.blocks import draw_blocks
from tests.loadtest.tiny_cases import tiny_case

CASES = [tiny_case(policy) for policy in ("first", "window", "full")]


def test_every_case_plays_every_spell_before_the_next_begins() -> None:
    blocks = draw_blocks(12.0, 5.0, CASES, seed=1)
    assert [(block.number, block.begin_s, block.end_s) for block in blocks[::3]] == [
        (0, 0.0, 4.0),
        (1, 4.0, 8.0),
        (2, 8.0, 12.0),
    ]
    for number in range(3):
        played = [block.case.contender for block in blocks if block.number == number]
        assert sorted(played) == ["first", "full", "window"]


def test_the_order_is_drawn_anew_for_each_spell_and_by_the_seed() -> None:
    order = [block.case.contender for block in draw_blocks(60.0, 5.0, CASES, seed=1)]
    assert len({tuple(order[i : i + 3]) for i in range(0, 36, 3)}) > 2
    assert order == [block.case.contender for block in draw_blocks(60.0, 5.0, CASES, seed=1)]
    assert order != [block.case.contender for block in draw_blocks(60.0, 5.0, CASES, seed=2)]


def test_a_short_load_is_one_block() -> None:
    (block,) = draw_blocks(3.0, 5.0, CASES[:1], seed=0)
    assert (block.begin_s, block.end_s) == (0.0, 3.0)
