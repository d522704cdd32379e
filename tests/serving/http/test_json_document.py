"""JSON objects: what says something twice is found, and only that."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import InvalidRequest
from serving.http.json_document import parse_object

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(':{}"\\a ', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(":a", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(document=st.dictionaries(st.text('ab:"', max_size=3), VALUES, max_size=4), is_spaced=st.booleans())
def test_a_document_without_duplicates_is_as_it_is(document: dict[str, Any], is_spaced: bool) -> None:
    text = json.dumps(document, separators=(" , ", " : ") if is_spaced else (",", ":")).encode()
    assert parse_object(text, "it") == document


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a" :1,"a"\n:2}',
        b'{"a":1,"\\u0061":2}',
        b'{"parameters":{"b":1,"b":2}}',
        b'{"inputs":[{"a":1,"a":2}]}',
        b'{"inputs":[{"parameters":{"a":1,"a":2}}]}',
        b'{"x":[[{"a":1,"a":2}]]}',
        b'{"a":"\\u003a","a":2}',
        b'{"":1,"":2}',
    ],
)
def test_a_key_that_stands_twice_is_found(text: bytes) -> None:
    with pytest.raises(InvalidRequest, match="twice in one object"):
        parse_object(text, "it")
