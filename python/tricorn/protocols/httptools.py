"""Requests read by httptools, which is llhttp, the parser of Node.js."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

import httptools

from tricorn.protocols import Body, End, Event, Head, Limits, Reject, section_size


class Parser:
    """httptools reads all that it is given, beyond the request at work, too: events of later ones wait here."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._events: deque[Event] = deque()
        self._at_work = False
        self._reading = _Reading(self._events, limits)

    def recv(self, given: bytes) -> int:
        """Take all of it, but nothing behind a request that could become something else."""
        data = given
        while data:
            try:
                self._reading.feed(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                at: int = len(given) - len(data) + upgrade.args[0]
                if not self._reading.framing():  # what follows may be of another protocol
                    self._reading = _Reading(self._events, self._limits)
                    return at
                data = self._go_on(given[at:])
            except httptools.HttpParserCallbackError:
                raise  # a fault here, not the client's
            except httptools.HttpParserError:
                self._events.append(Reject(400))
                break
        return len(given)

    def _go_on(self, data: bytes) -> bytes:
        """Begin to read the body behind a head that asks for an upgrade, which httptools skips."""
        lines = self._reading.framing()
        self._reading = _Reading(self._events, self._limits, within=True)
        self._events.pop()  # the end, which is still to come
        return b"POST / HTTP/1.1\r\n" + lines + b"\r\n" + data

    def next_event(self) -> Event | None:
        """Return the next event."""
        if not self._events:
            return None
        event = self._events.popleft()
        self._at_work = not isinstance(event, End)
        return event

    @property
    def ahead(self) -> bool:
        """Whether there are events behind the end of the request at work."""
        return bool(self._events) and not self._at_work

    @property
    def begun(self) -> bool:
        """Whether a head is being read."""
        return self._reading.in_head


class _Reading:
    """A parser of httptools with what it calls. They know each other weakly, to leave no cycle to the collector.

    ``within`` is whether it begins within a request: its first head is not told.
    """

    def __init__(self, events: deque[Event], limits: Limits, *, within: bool = False) -> None:
        self._events = events
        self._limits = limits
        self._within = within
        self.in_head = False
        self._trailers: list[tuple[bytes, bytes]] = []
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._parser = httptools.HttpRequestParser(_Calls(self))

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def framing(self) -> bytes:
        """Return the lines of the last head that tell how its body is delimited."""
        framing = (b"content-length", b"transfer-encoding")
        return b"".join(b"%s: %s\r\n" % field for field in self._fields if field[0].lower() in framing)

    def on_message_begin(self) -> None:
        self._target = b""
        self._fields = []
        self._trailers = []
        self.in_head = True

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        (self._fields if self.in_head else self._trailers).append((name, value))

    def on_headers_complete(self) -> None:
        self.in_head = False
        if self._within:
            self._within = False
            return
        version = self._parser.get_http_version().encode()
        self._events.append(Head(self._parser.get_method(), self._target, self._fields, version))

    def on_body(self, part: bytes) -> None:
        self._events.append(Body(part))

    def on_message_complete(self) -> None:
        too_long = section_size(self._trailers) > self._limits.trailers
        self._events.append(Reject(431) if too_long else End())


class _Calls:
    """What httptools is given to call."""

    def __init__(self, reading: _Reading) -> None:
        self._reading = weakref.ref(reading)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reading(), name)
