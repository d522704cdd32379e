"""The page's own files, read once from the installed package. Nothing else has a path, so none leads out."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    "LICENSE": "text/plain; charset=utf-8",
}
"""What is served, by the end of its name."""


def _page_files() -> Mapping[str, tuple[bytes, str]]:
    """Content and media type by path; `/` is the page itself."""
    found = {f"/console/{path}": file for path, file in _files(files("serving.console") / "page", "")}
    found["/"] = found.pop("/console/index.html")
    return {
        path: (file.read_bytes(), _type(path if path != "/" else ".html")) for path, file in found.items()
    }


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(tuple(TYPES)):
            yield prefix + entry.name, entry


def _type(name: str) -> str:
    return next(media_type for end, media_type in TYPES.items() if name.endswith(end))


FILES = _page_files()
OPEN = frozenset(path.encode() for path in FILES)
"""Raw paths that hold no data, and which whoever has no token yet may see."""
