"""SCGI for ``--http scgi:SCGI``: a protocol of one's own, without a word about sockets or async libraries.

A web server in front sends the head of a request as names and values in a netstring, and takes the answer of a
CGI program: ``tricorn hello:app --app-dir examples --http scgi:SCGI``.
"""

from __future__ import annotations

from tricorn.protocols import Answer, Body, End, Event, Head, Limits, Reject

_OF_THE_CLIENT = (b"HTTP_CONNECTION", b"HTTP_CONTENT_LENGTH", b"HTTP_TRANSFER_ENCODING")
"""What a client has told the web server in front about a connection that is not this one."""


class SCGI:
    """One connection: a request, its answer, and the end."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._netstring = b""
        self._left = -1  # bytes of the body that are still to come; -1 within the head
        self._events: list[Event] = []
        self._out = b""

    def recv(self, data: bytes) -> int:
        """Take what belongs to the request."""
        if self._left >= 0:
            return self._read_body(data)
        self._netstring += data
        size, colon, rest = self._netstring.partition(b":")
        if size and not (size.isdigit() and len(size) < 10 and int(size) <= self._limits.head):
            self._events.append(Reject(400))
        elif colon and len(rest) > int(size):
            self._read_head(rest[: int(size)])
            return len(data) - (len(rest) - int(size) - 1)  # the rest, behind the comma, comes again
        return len(data)

    def next_event(self) -> Event | None:
        """Return the next event."""
        return self._events.pop(0) if self._events else None

    def _read_head(self, text: bytes) -> None:
        """Make a head of ``NAME NUL value NUL`` …; HTTP/1.0 is what comes closest to one request a connection."""
        parts = text.split(b"\0")
        variables = dict(zip(parts[::2], parts[1::2], strict=False))
        fields = [
            (name.removeprefix(b"HTTP_").replace(b"_", b"-"), value)
            for name, value in variables.items()
            if (name.startswith(b"HTTP_") and name not in _OF_THE_CLIENT)
            or name in (b"CONTENT_TYPE", b"CONTENT_LENGTH")
        ]
        method, target = variables.get(b"REQUEST_METHOD", b""), variables.get(b"REQUEST_URI", b"")
        length = variables.get(b"CONTENT_LENGTH", b"0")
        if not length.isdigit() or len(length) > 18:
            self._events.append(Reject(400))
            return
        self._events.append(Head(method, target, fields, b"1.0"))
        self._left = int(length)
        if self._left == 0:
            self._events.append(End())

    def _read_body(self, data: bytes) -> int:
        data = data[: self._left]
        self._left -= len(data)
        self._events.append(Body(data))
        if self._left == 0:
            self._events.append(End())
        return len(data)

    def submit_continue(self) -> None:
        """SCGI has nothing of the kind."""

    def submit_head(self, head: Answer) -> None:
        """Write the fields as a CGI program does."""
        lines = [(b"status", b"%d" % head.status), *head.fields]
        self._out += b"".join(b"%s: %s\r\n" % line for line in lines) + b"\r\n"

    def submit_body(self, data: bytes, end: bool) -> None:
        """The end of an answer is that of the connection."""
        self._out += data

    def send(self) -> bytes:
        """Return what has been written."""
        out, self._out = self._out, b""
        return out
