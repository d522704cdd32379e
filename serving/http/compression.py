"""Bodies compressed over HTTP, both ways: gzip and deflate."""

import asyncio
import zlib

from serving.errors import InvalidRequest, TooLarge, Unsupported

WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
"""As zlib counts them: with gzip's header, or with zlib's own, which is what HTTP calls deflate."""

IN_A_THREAD = 64 * 1024
"""Bytes from which on the event loop does not wait for the work."""

LEVEL = 1
SMALLEST = 1024
"""A shorter answer takes a packet either way."""


def encoding_of(value: bytes | None) -> bytes | None:
    """The coding that a request's body is in; None for none. Unsupported for any other than these two."""
    name = (value or b"identity").strip().lower()
    if name == b"identity":
        return None
    if name not in WINDOW_BITS:
        raise Unsupported(
            f"content encoding {name[:40].decode('latin-1')!r} is not supported; there are: gzip, deflate"
        )
    return name


async def decompressed(body: memoryview, encoding: bytes, limit: int) -> memoryview:
    """At most `limit` bytes; InvalidRequest for what is corrupt or cut off, TooLarge for what is longer."""
    if len(body) < IN_A_THREAD:
        # A short body may be long once it is unpacked; then no more than this of it is made here.
        packed = zlib.decompressobj(WINDOW_BITS[encoding])
        head = _unpack(packed, body, encoding, IN_A_THREAD)
        if packed.eof:
            return _whole(packed, head, encoding, limit)
    return await asyncio.to_thread(_decompress, body, encoding, limit)


def _decompress(body: memoryview, encoding: bytes, limit: int) -> memoryview:
    packed = zlib.decompressobj(WINDOW_BITS[encoding])
    return _whole(packed, _unpack(packed, body, encoding, limit + 1), encoding, limit)


def _unpack(packed: "zlib._Decompress", body: memoryview, encoding: bytes, most: int) -> bytes:
    try:
        return packed.decompress(body, most)
    except zlib.error:
        raise InvalidRequest(f"the body is not {encoding.decode()}") from None


def _whole(packed: "zlib._Decompress", content: bytes, encoding: bytes, limit: int) -> memoryview:
    if len(content) > limit:
        raise TooLarge(f"a body of more than {limit} bytes once it is unpacked")
    if not packed.eof:
        raise InvalidRequest(f"the body's {encoding.decode()} is cut off")
    if packed.unused_data:
        raise InvalidRequest(f"the body goes on after its {encoding.decode()}")
    return memoryview(content)


def wanted_of(value: bytes | None) -> bytes | None:
    """The coding that a client takes an answer in, by its Accept-Encoding; None for none."""
    if value is None:
        return None
    names = [part.partition(b";") for part in value.lower().replace(b" ", b"").split(b",")]
    # `q=0`, `q=0.0` and so on refuse.
    taken = {name for name, _, quality in names if quality.rstrip(b"0.") != b"q="}
    return next((name for name in WINDOW_BITS if name in taken), None)


async def compressed(body: bytes, encoding: bytes) -> bytes:
    if len(body) < IN_A_THREAD:
        return zlib.compress(body, LEVEL, WINDOW_BITS[encoding])
    return await asyncio.to_thread(zlib.compress, body, LEVEL, WINDOW_BITS[encoding])
