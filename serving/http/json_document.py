"""Documents that clients send: JSON objects without a key twice."""

import json
from typing import Any

import orjson

from serving.errors import InvalidRequest


def parse_object(text: bytes, what: str) -> dict[str, Any]:
    """InvalidRequest for what is no JSON, no object, or says something twice."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"{what} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidRequest(f"{what} must be a JSON object")
    # Each key has a colon. Where there are no others, none stands twice.
    if text.count(b":") != _num_keys(document):
        _check_keys(text, what)
    return document


def _num_keys(document: dict[str, Any]) -> int:
    """Keys in those places where requests have objects. Others only cost a second look."""
    count = len(document)
    for value in document.values():
        if isinstance(value, dict):
            count += len(value)
        elif isinstance(value, list):
            count += sum(_num_item_keys(item) for item in value if isinstance(item, dict))
    return count


def _num_item_keys(item: dict[str, Any]) -> int:
    parameters = item.get("parameters")
    return len(item) + (len(parameters) if isinstance(parameters, dict) else 0)


def _check_keys(text: bytes, what: str) -> None:
    def pairs(items: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in items:
            if key in seen:
                raise InvalidRequest(f"{what} has the key {key[:80]!r} twice in one object")
            seen.add(key)

    try:
        json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise InvalidRequest(f"{what} is nested too deeply") from None
    except ValueError:  # numbers of thousands of digits, which Python does not turn into integers
        raise InvalidRequest(f"{what} holds what is no number of any datatype") from None
