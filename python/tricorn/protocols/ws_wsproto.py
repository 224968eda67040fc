"""WebSocket frames by wsproto, in pure Python."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import (
    CloseReason,
    Frame,
    FrameDecoder,
    FrameProtocol,
    Opcode,
    ParseFailed,
    RsvBits,
)

from tricorn.protocols.websocket import Close, Event, Fail, Message, Ping, Pong, Settings

INFLATED_AT_ONCE = 1024
"""Bytes that may be inflated before the size is looked at, as the library has no bound: they make 1 MiB at most."""

_ANY_WINDOW = 15


class _Deflate(PerMessageDeflate):
    """The library's compression, which forgets about a message when a ping comes between its frames."""

    _within = False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        self._within = opcode.iscontrol()
        if self._within:
            return RsvBits(False, False, False)
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        return data if self._within else super().frame_inbound_payload_data(proto, data)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        return None if self._within else super().frame_inbound_complete(proto, fin)


class Frames:
    """wsproto's frames, without its handshake and its states, which are the core's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._events: deque[Event] = deque()
        self._rest = b""
        self._plain = self._packed = FrameProtocol(False, [])
        self._message = bytearray()  # the library gives what each read has brought, which may be a few bytes
        self._frames = 0

    def __del__(self) -> None:
        """Let go of what was read: the library's readers hold themselves, and would wait for the collector."""
        with suppress(AttributeError):
            for reader in (self._plain, self._packed):
                reader._parse_more.close()

    def negotiate(self, offers: str) -> str | None:
        """Agree to the first offer of permessage-deflate that the library can make."""
        if not self._settings.deflate or '"' in offers:  # which it cannot read
            return None
        for offer in offers.split(","):
            if offer.partition(";")[0].strip() != PerMessageDeflate.name:
                continue
            limited = "client_max_window_bits" in offer  # else a client may use the largest window
            deflate = _Deflate(
                self._settings.client_no_context,
                self._settings.window_bits if limited else _ANY_WINDOW,
                self._settings.no_context,
                self._settings.window_bits,
            )
            try:
                parameters = deflate.accept(offer)
            except ValueError:
                continue
            if isinstance(parameters, str):
                self._packed = FrameProtocol(False, [deflate])
                return f"{deflate.name}; {parameters}" if parameters else deflate.name
        return None

    def recv(self, data: bytes) -> None:
        """Take bytes; they are read as events are asked for."""
        self._rest = data

    def next_event(self) -> Event | None:
        """Return the next event."""
        while not self._events and self._rest:
            step = len(self._rest) if self._packed is self._plain else INFLATED_AT_ONCE
            now, self._rest = self._rest[:step], self._rest[step:]
            self._packed.receive_bytes(now)
            try:
                self._events.extend(self._read())
            except ParseFailed as error:
                self._events.append(Fail(error.code))
        return self._events.popleft() if self._events else None

    def submit_message(self, data: str | bytes) -> bytes:
        """Return a message's frame."""
        payload = data if isinstance(data, bytes) else data.encode()
        small = len(payload) < self._settings.min_size
        return bytes((self._plain if small else self._packed).send_data(data))

    def submit_ping(self, payload: bytes) -> bytes:
        """Return a ping."""
        return bytes(self._plain.ping(payload))

    def submit_pong(self, payload: bytes) -> bytes:
        """Return a pong."""
        return bytes(self._plain.pong(payload))

    def submit_close(self, code: int, reason: str) -> bytes:
        """Return a close frame."""
        if code == CloseReason.NO_STATUS_RCVD:
            return bytes(self._plain.close())
        return bytes(self._plain.close(code, reason))

    def _read(self) -> Iterator[Event]:
        """Give the events of what has come; a failure is the last."""
        for frame in self._packed.received_frames():
            event = self._control(frame) if frame.opcode.iscontrol() else self._data(frame)
            if event is not None:
                yield event
            if isinstance(event, Fail):
                return

    @staticmethod
    def _control(frame: Frame) -> Event:
        if isinstance(frame.payload, tuple):
            return Close(int(frame.payload[0]), frame.payload[1])
        assert not isinstance(frame.payload, str)
        return (Ping if frame.opcode is Opcode.PING else Pong)(bytes(frame.payload))

    def _data(self, frame: Frame) -> Event | None:
        """Take a part of a message."""
        assert not isinstance(frame.payload, tuple)
        text = isinstance(frame.payload, str)
        self._message += frame.payload.encode() if isinstance(frame.payload, str) else frame.payload
        self._frames += frame.frame_finished
        if len(self._message) > self._settings.max_size:
            return Fail(CloseReason.MESSAGE_TOO_BIG)
        if self._frames > self._settings.max_fragments > 0:
            return Fail(CloseReason.POLICY_VIOLATION)
        if not frame.message_finished:
            return None
        whole, self._message = self._message, bytearray()
        self._frames = 0
        return Message(whole.decode() if text else bytes(whole))
