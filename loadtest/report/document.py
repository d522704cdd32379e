"""The parts that pages are made of, as HTML. All texts given are escaped here; `content` is HTML already."""

import base64
from collections.abc import Sequence
from html import escape

from cascade.report.page_style import CSS
from loadtest.report.page_style import MORE


def document(title: str, body: Sequence[str]) -> str:
    """One self-contained page."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}{MORE}</style></head>\n<body><main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main></body></html>\n"
    )


def header(title: str, under: str) -> str:
    return f'<h1>{escape(title)}</h1><p class="under">{escape(under)}</p>'


def section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def subheading(text: str) -> str:
    return f"<h3>{escape(text)}</h3>"


def image(png: bytes, alt: str) -> str:
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'


def definitions(terms: Sequence[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in terms)
    return f"<dl>{items}</dl>"


def dot(colour: str) -> str:
    return f'<span class="dot" style="background:{colour}"></span>'


def beneath(value: str, under: str) -> str:
    """A figure, and a smaller one below it."""
    return f'{escape(value)}<span class="interval">{escape(under)}</span>' if under else escape(value)
