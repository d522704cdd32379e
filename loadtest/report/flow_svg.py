"""The flow of rows through the stages, as an SVG: the stream runs to the right and loses, at each stage, the
rows that leave there. Widths are shares of all rows. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from cascade.report.plot_style import INK
from loadtest.figures.flow import Exit, Flow, Outflow
from loadtest.report.plot_style import stage_colours
from loadtest.report.wording import percent

WIDTH = 1120
SOFT = "#52606d"
SOURCE_WIDTH = 74
TOP = 62
# Of the whole stream.
THICKNESS = 150
NODE_WIDTH = 12
# Within the bend of a stream that leaves.
BEND = 16
DROP = 26
LABEL_HEIGHT = 76
# So that few rows are still seen.
LEAST = 1.2


@dataclass(frozen=True)
class _Place:
    """Of a stage: where its node stands, and the ends of what comes and goes, in y."""

    x: float
    begins: float
    goes_on: float
    ends: float


def flow_svg(flow: Flow, stage_names: tuple[str, ...], title: str) -> str:
    """`stage_names` say what runs at each stage."""
    height = TOP + THICKNESS + BEND + DROP + LABEL_HEIGHT
    parts = [_hatches(len(flow.exits)), _source()]
    places = _places(flow)
    for place, each, name in zip(places, flow.exits, stage_names, strict=True):
        parts += _stage(flow, place, each, name, places)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(described(flow, title))}" '
        f'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif">{"".join(parts)}</svg>'
    )


def described(flow: Flow, title: str) -> str:
    """The picture in words, for those who can't see it."""
    parts = [
        f"{percent(each.share)} leave at stage {each.stage}: {_outcome('accepted', each.accepted)}, "
        f"{_outcome('rejected', each.rejected)}"
        for each in flow.exits
        if each.share
    ]
    return f"{title}. Of all rows {'; '.join(parts)}."


def _places(flow: Flow) -> list[_Place]:
    step = (WIDTH - SOURCE_WIDTH) / len(flow.exits)
    return [
        _Place(
            x=SOURCE_WIDTH + number * step,
            begins=TOP,
            goes_on=TOP + THICKNESS * flow.reaching(number + 2),
            ends=TOP + THICKNESS * flow.reaching(number + 1),
        )
        for number in range(len(flow.exits))
    ]


def _stage(flow: Flow, place: _Place, each: Exit, name: str, places: list[_Place]) -> Iterator[str]:
    number, colours = each.stage - 1, stage_colours(len(flow.exits))
    if place.ends <= TOP:
        yield _text(place.x, TOP - 30, f"stage {each.stage}", bold=True, colour="#9aa5b1")
        yield _text(place.x, TOP - 13, "no row comes here", colour="#9aa5b1")
        return
    right = place.x + NODE_WIDTH
    if each.stage < len(flow.exits) and place.goes_on > TOP:
        width = places[number + 1].x - right
        yield _rect(right, TOP, width, place.goes_on - TOP, colours[number + 1], opacity=0.4)
    yield from _leaving(place, each, colours[number])
    yield _rect(place.x, TOP, NODE_WIDTH, max(place.ends - TOP, LEAST), colours[number])
    yield _text(place.x, TOP - 30, f"stage {each.stage}: {name}", bold=True)
    yield _text(place.x, TOP - 13, f"sees {percent(flow.reaching(each.stage))} of the rows", colour=SOFT)


def _leaving(place: _Place, each: Exit, colour: str) -> Iterator[str]:
    """The rejected on the inside of the bend, the accepted around them; labels where they end."""
    if not each.share:
        return
    x, centre = place.x + NODE_WIDTH, place.ends + BEND
    foot = TOP + THICKNESS + BEND + DROP
    inner = float(BEND)
    for outflow, fill in ((each.rejected, f"url(#rejected-{each.stage})"), (each.accepted, colour)):
        if outflow.share:
            outer = inner + max(THICKNESS * outflow.share, LEAST)
            yield _bend(x, centre, inner, outer, foot, fill, colour)
            inner = outer
    left = x + BEND
    yield (
        f'<text x="{left:.2f}" y="{foot + 20:.2f}" font-size="13.5" fill="{INK}"><tspan font-size="17" '
        f'font-weight="650">{percent(each.share)}</tspan> <tspan>leave at stage {each.stage}</tspan></text>'
    )
    yield _text(left, foot + 40, _outcome("accepted", each.accepted), colour=SOFT)
    yield _text(left, foot + 58, _outcome("rejected", each.rejected), colour=SOFT)


def _outcome(word: str, outflow: Outflow) -> str:
    if not outflow.share:
        return f"none {word}"
    return f"{percent(outflow.share)} {word}, of these {percent(outflow.accuracy)} right"


def _bend(x: float, centre: float, inner: float, outer: float, foot: float, fill: str, edge: str) -> str:
    """From going right to going down, between two circles about (x, centre)."""
    path = (
        f"M {x:.2f} {centre - outer:.2f} A {outer:.2f} {outer:.2f} 0 0 1 {x + outer:.2f} {centre:.2f} "
        f"V {foot:.2f} H {x + inner:.2f} V {centre:.2f} "
        f"A {inner:.2f} {inner:.2f} 0 0 0 {x:.2f} {centre - inner:.2f} Z"
    )
    return f'<path d="{path}" fill="{fill}" stroke="{edge}" stroke-width="0.8"/>'


def _hatches(num_stages: int) -> str:
    """Rejected rows are hatched, as in the other pictures."""
    patterns = "".join(
        f'<pattern id="rejected-{stage}" width="7" height="7" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="7" height="7" fill="white"/>'
        f'<line x1="0" y1="0" x2="0" y2="7" stroke="{colour}" stroke-width="3"/></pattern>'
        for stage, colour in enumerate(stage_colours(num_stages), 1)
    )
    return f"<defs>{patterns}</defs>"


def _source() -> str:
    band = _rect(0, TOP, SOURCE_WIDTH, THICKNESS, stage_colours(2)[0], opacity=0.4)
    return band + _text(8, TOP + THICKNESS / 2 - 4, "all rows", bold=True)


def _rect(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> str:
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{max(height, LEAST):.2f}" '
        f'fill="{colour}" fill-opacity="{opacity}"/>'
    )


def _text(x: float, y: float, text: str, *, bold: bool = False, colour: str = INK, size: float = 13.5) -> str:
    weight = ' font-weight="650"' if bold else ""
    return f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size}" fill="{colour}"{weight}>{escape(text)}</text>'
