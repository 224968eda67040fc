"""Requests read by h11: pure Python, and strict."""

from __future__ import annotations

from collections import deque

import h11

from tricorn.protocols import Body, End, Event, Head, Limits, Reject, section_size


class Parser:
    """h11's reading half. Each request has an ``h11.Connection`` of its own, as answers are not h11's to send."""

    ahead = begun = False

    def __init__(self, limits: Limits) -> None:
        self._trailers = limits.trailers
        self._most = limits.head + limits.trailers + limits.chunk_extensions
        self._events: deque[Event] = deque()
        self._may_skip = True
        self._skipped = b""
        self._connection = self._begin()

    def recv(self, data: bytes) -> int:
        """Take the bytes of one request at most."""
        if self._may_skip:  # RFC 9112 §2.2: one empty line may come before a request
            start = self._skipped + data[:2]
            if start == b"\r":
                self._skipped = start
                return 1
            self._may_skip = False
            if start[:2] == b"\r\n":
                return 2 - len(self._skipped)
            if self._skipped:  # of no byte h11 thinks that the connection has ended
                self._connection.receive_data(self._skipped)
        self._connection.receive_data(data)
        try:
            return len(data) - self._read()
        except h11.RemoteProtocolError as error:
            self._events.append(Reject(error.error_status_hint))
            return len(data)

    def next_event(self) -> Event | None:
        """Return the next event."""
        return self._events.popleft() if self._events else None

    def _begin(self) -> h11.Connection:
        self._may_skip = True
        self._skipped = b""
        return h11.Connection(h11.SERVER, max_incomplete_event_size=self._most)

    def _read(self) -> int:
        """Turn what has come into events; returns how many bytes belong to the next request."""
        while True:
            event = self._connection.next_event()
            if isinstance(event, h11.Request):
                fields = list(event.headers)
                self._events.append(Head(event.method, event.target, fields, event.http_version))
            elif isinstance(event, h11.Data):
                self._events.append(Body(bytes(event.data)))
            elif isinstance(event, h11.EndOfMessage):
                too_long = section_size(event.headers) > self._trailers
                self._events.append(Reject(431) if too_long else End())
                rest = len(self._connection.trailing_data[0])
                self._connection = self._begin()
                return rest
            else:
                return 0
