"""WebSocket frames by the package ``websockets``: the half of it that knows no sockets."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Close as CloseData
from websockets.frames import CloseCode, Frame, Opcode
from websockets.headers import build_extension, parse_extension
from websockets.protocol import Protocol, Side

from tricorn.protocols.websocket import Close, Event, Fail, Message, Ping, Pong, Settings

INFLATED_AT_ONCE = 4096
"""Bytes that are read before events are handed on: the library makes the messages of all that it is given."""

_NAME = ServerPerMessageDeflateFactory.name


class Frames:
    """The library reads, and its frames are written; its states are left alone, as they are the core's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader = Protocol(Side.SERVER, max_size=settings.max_size)
        self._events: deque[Event] = deque()
        self._rest = b""
        self._parts: list[str | bytes] = []
        self._text = codecs.getincrementaldecoder("utf-8")()
        self._is_text = False
        self._frames = 0

    def __del__(self) -> None:
        """Let go of what was read: the library's reader holds itself, and would wait for the collector."""
        with suppress(AttributeError):
            self._reader.parser.close()
            self._reader.parser_exc = None

    def negotiate(self, offers: str) -> str | None:
        """Agree to the first offer of permessage-deflate that the library can make."""
        settings = self._settings
        factory = ServerPerMessageDeflateFactory(
            settings.no_context,
            settings.client_no_context,
            settings.window_bits,
            settings.window_bits,
            {"level": settings.level, "memLevel": settings.mem_level},
        )
        try:
            offered = parse_extension(offers) if settings.deflate else []
        except InvalidHeader:
            return None
        for name, parameters in offered:
            if name != _NAME:
                continue
            try:
                answer, extension = factory.process_request_params(parameters, [])
            except NegotiationError:
                continue
            self._reader.extensions = [extension]
            return build_extension([(_NAME, answer)])
        return None

    def recv(self, data: bytes) -> None:
        """Take bytes; they are read as events are asked for."""
        self._rest = data

    def next_event(self) -> Event | None:
        """Return the next event."""
        while not self._events and self._rest:
            now, self._rest = self._rest[:INFLATED_AT_ONCE], self._rest[INFLATED_AT_ONCE:]
            self._reader.receive_data(now)
            self._reader.data_to_send()  # pongs and close frames of its own, which the core asks for when they are due
            self._events.extend(self._read())
        return self._events.popleft() if self._events else None

    def submit_message(self, data: str | bytes) -> bytes:
        """Return a message's frame."""
        opcode, payload = (Opcode.BINARY, data) if isinstance(data, bytes) else (Opcode.TEXT, data.encode())
        packs = len(payload) >= self._settings.min_size
        extensions = self._reader.extensions if packs else []
        return Frame(opcode, payload).serialize(mask=False, extensions=extensions)

    def submit_ping(self, payload: bytes) -> bytes:
        """Return a ping."""
        return Frame(Opcode.PING, payload).serialize(mask=False)

    def submit_pong(self, payload: bytes) -> bytes:
        """Return a pong."""
        return Frame(Opcode.PONG, payload).serialize(mask=False)

    def submit_close(self, code: int, reason: str) -> bytes:
        """Return a close frame."""
        payload = b"" if code == CloseCode.NO_STATUS_RCVD else CloseData(code, reason).serialize()
        return Frame(Opcode.CLOSE, payload).serialize(mask=False)

    def _read(self) -> Iterator[Event]:
        """Give the events of what has come; a failure is the last."""
        for frame in self._reader.events_received():
            assert isinstance(frame, Frame)
            event = self._event(frame)
            if event is not None:
                yield event
            if isinstance(event, Fail):
                return
        if self._reader.parser_exc is None:
            return
        closed, ours = self._reader.close_rcvd, self._reader.close_sent
        assert ours is not None
        # The library refuses a close frame in the midst of a message, where RFC 6455 §5.4 has control frames.
        yield Fail(int(ours.code)) if closed is None else Close(int(closed.code), closed.reason)

    def _event(self, frame: Frame) -> Event | None:
        if frame.opcode is Opcode.PING:
            return Ping(bytes(frame.data))
        if frame.opcode is Opcode.PONG:
            return Pong(bytes(frame.data))
        if frame.opcode is Opcode.CLOSE:
            closed = CloseData.parse(frame.data)
            return Close(int(closed.code), closed.reason)
        return self._data(frame)

    def _data(self, frame: Frame) -> Event | None:
        """Take a frame of a message."""
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._frames += 1
        if self._frames > self._settings.max_fragments > 0:
            return Fail(CloseCode.POLICY_VIOLATION)
        try:
            part = self._text.decode(frame.data, frame.fin) if self._is_text else bytes(frame.data)
        except UnicodeDecodeError:
            return Fail(CloseCode.INVALID_DATA)
        if part:
            self._parts.append(part)
        if not frame.fin:
            return None
        joined = ("" if self._is_text else b"").join(self._parts)  # type: ignore[arg-type]
        self._parts = []
        self._frames = 0
        return Message(joined)
