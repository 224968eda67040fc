"""A WebSocket client that sends whatever a test wants, wrong things too, and reads strictly what the server sends."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import os
import re
import socket
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from harness import TIMEOUT, Answer, Client, Field, Server, until

APP = "websocket_script:app"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"
TAIL = b"\0\0\xff\xff"
DEFLATE = "permessage-deflate"
FIELDS: tuple[Field, ...] = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", KEY),
)
"""The fields of a good handshake, besides Host."""

_numbers = itertools.count(1)


def accept_of(key: str) -> str:
    """Return the Sec-WebSocket-Accept that belongs to a key (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def masked(payload: bytes, mask: bytes) -> bytes:
    """Mask a payload, or unmask it (RFC 6455 §5.3)."""
    n = len(payload)
    keys = (mask * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(n, "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length: int | None = None,
    size: int = 0,
) -> bytes:
    """Return a frame, right or wrong.

    Args:
        opcode: From 0 to 15.
        payload: What is masked and sent.
        fin: Whether it is a message's last frame.
        rsv: The three reserved bits, 4 for RSV1.
        mask: ``None`` sends it unmasked.
        length: What the head announces, in place of the payload's length.
        size: How the length is written: in 7, 16 or 64 bits; 0 is the shortest.
    """
    n = len(payload) if length is None else length
    size = size or (7 if n < 126 else 16 if n < 65536 else 64)
    bit = 0 if mask is None else 0x80
    head = bytes([fin << 7 | rsv << 4 | opcode])
    head += {
        7: lambda: bytes([bit | n]),
        16: lambda: struct.pack("!BH", bit | 126, n),
        64: lambda: struct.pack("!BQ", bit | 127, n),
    }[size]()
    return head + payload if mask is None else head + mask + masked(payload, mask)


def close_frame(code: int | None = 1000, reason: str = "") -> bytes:
    """Return a close frame; ``None`` for one without a code."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


@dataclass(frozen=True)
class Frame:
    """A frame of the server."""

    opcode: int
    payload: bytes
    fin: bool = True
    compressed: bool = False

    @property
    def code(self) -> int | None:
        """The code of a close frame."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else None

    @property
    def reason(self) -> str:
        """The reason of a close frame."""
        return self.payload[2:].decode()


class Peer(Client):
    """One end of a WebSocket."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self.answered: Answer | None = None
        self.pongs = 0
        self._inflate: Any = None

    def ask_upgrade(
        self,
        target: str = "/echo",
        fields: Iterable[Field] = FIELDS,
        *,
        behind: bytes = b"",
        method: str = "GET",
    ) -> None:
        """Send a handshake, and bytes right behind it."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test.example"]
        lines += [f"{name}: {value}" for name, value in fields]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + behind)

    def opened(self) -> Answer:
        """Read the answer to a handshake that must succeed."""
        answer = self.answer()
        assert answer.status == 101, answer
        assert (answer.get("upgrade") or "").lower() == "websocket"
        assert "upgrade" in (answer.get("connection") or "").lower()
        assert answer.get("sec-websocket-accept") == accept_of(KEY)
        assert answer.get("content-length") is None and answer.get("transfer-encoding") is None
        self.answered = answer
        return answer

    @property
    def agreed(self) -> dict[str, str | bool] | None:
        """The parameters of permessage-deflate that the server has agreed to; ``None`` without compression."""
        assert self.answered is not None
        value = self.answered.get("sec-websocket-extensions")
        if value is None:
            return None
        name, *parts = [part.strip() for part in value.split(";")]
        assert name == DEFLATE and "," not in value, value
        parameters: dict[str, str | bool] = {}
        for part in parts:
            key, equals, text = part.partition("=")
            assert key not in parameters, value
            parameters[key] = text if equals else True
        return parameters

    def text(self, text: str) -> None:
        """Send a text in one frame."""
        self.send(frame(TEXT, text.encode()))

    def binary(self, data: bytes) -> None:
        """Send bytes in one frame."""
        self.send(frame(BINARY, data))

    def read(self) -> Frame:
        """Read a frame, and hold it to RFC 6455 §5."""
        first, second = self.exactly(2)
        assert not second & 0x80, "a server does not mask"
        assert not first & 0x30, "RSV2 and RSV3 belong to nothing that was agreed"
        n = second & 0x7F
        if n == 126:
            (n,) = struct.unpack("!H", self.exactly(2))
            assert n > 125, "the length is not the shortest"
        elif n == 127:
            (n,) = struct.unpack("!Q", self.exactly(8))
            assert n > 65535, "the length is not the shortest"
        found = Frame(first & 0x0F, self.exactly(n), bool(first & 0x80), bool(first & 0x40))
        assert found.opcode in {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}, found
        if found.opcode >= CLOSE:
            assert found.fin and n <= 125 and not found.compressed, found
        if found.opcode == CLOSE:
            assert n != 1 and sendable(found.code), found
            assert found.reason is not None
        return found

    def next(self) -> Frame:
        """Read a message or a close frame; pings are answered, pongs are counted, frames are put together."""
        pieces: list[Frame] = []
        while True:
            found = self.read()
            if found.opcode == PING:
                self.send(frame(PONG, found.payload))
            elif found.opcode == PONG:
                self.pongs += 1
            elif found.opcode == CLOSE:
                return found
            else:
                assert bool(pieces) == (found.opcode == CONTINUATION), found
                assert not (pieces and found.compressed), "RSV1 stands in the first frame alone"
                pieces.append(found)
                if found.fin:
                    return self._whole(pieces)

    def _whole(self, pieces: Sequence[Frame]) -> Frame:
        payload = b"".join(piece.payload for piece in pieces)
        compressed = pieces[0].compressed
        if compressed:
            agreed = self.agreed
            assert agreed is not None, "compressed without an agreement"
            if self._inflate is None or agreed.get("server_no_context_takeover"):
                self._inflate = zlib.decompressobj(-int(agreed.get("server_max_window_bits", 15)))
            payload = self._inflate.decompress(payload + TAIL)
            assert not self._inflate.unconsumed_tail
        if pieces[0].opcode == TEXT:
            payload.decode()
        return Frame(pieces[0].opcode, payload, True, compressed)

    def message(self) -> str | bytes:
        """Read a message and return what it holds."""
        found = self.next()
        assert found.opcode != CLOSE, (found.code, found.reason)
        return found.payload.decode() if found.opcode == TEXT else found.payload

    def closing(self) -> tuple[int | None, str]:
        """Read up to the close frame and return its code and reason; messages before it are passed over."""
        while True:
            found = self.next()
            if found.opcode == CLOSE:
                return found.code, found.reason

    def failed(self) -> int | None:
        """Return the code by which the server closes, and see that it closes the connection, too."""
        code = self.closing()[0]
        with contextlib.suppress(OSError):
            self.send(close_frame(code))
        assert self.closed(), "bytes behind the close frame"
        return code

    def leave(self, code: int | None = 1000, reason: str = "") -> tuple[int | None, str]:
        """Close, and return the code and the reason by which the server answers; it closes the connection."""
        self.send(close_frame(code, reason))
        answered = self.closing()
        assert self.closed(), "bytes behind the close frame"
        return answered

    def gone(self, seconds: float = TIMEOUT) -> bool:
        """Tell whether the connection ends within so long, whatever comes before that."""
        self.socket.settimeout(seconds)
        try:
            self.rest()
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(TIMEOUT)
        return True


def sendable(code: int | None) -> bool:
    """Tell whether a close frame may carry this code (RFC 6455 §7.4 and the registry)."""
    return code is None or code in {*range(1000, 1004), *range(1007, 1015)} or 3000 <= code <= 4999


def refused(server: Server, fields: Iterable[Field], target: str = "/echo", method: str = "GET") -> Answer:
    """Send a handshake that must not succeed, and return the answer."""
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade(target, fields, method=method)
        answer = peer.answer()
        assert answer.status != 101, answer
        return answer


def reach(
    server: Server,
    target: str = "/echo",
    fields: Iterable[Field] = (),
    *,
    offer: str | None = None,
    behind: bytes = b"",
    room: int | None = None,
) -> Peer:
    """Open a WebSocket.

    Args:
        server: Whose.
        target: The request's.
        fields: More fields of the handshake.
        offer: The extensions that the client offers.
        behind: Bytes that are sent together with the handshake.
        room: How many bytes the kernel keeps for the client, about.
    """
    connection = server.dial(room)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer = Peer(connection)
    offers = [] if offer is None else [("Sec-WebSocket-Extensions", offer)]
    peer.ask_upgrade(target, [*FIELDS, *offers, *fields], behind=behind)
    peer.opened()
    return peer


class Deflater:
    """Compresses as a client does that has agreed to some parameters."""

    def __init__(self, agreed: dict[str, str | bool] | None) -> None:
        assert agreed is not None, "no compression was agreed"
        self._bits = -int(agreed.get("client_max_window_bits", 15))
        self._afresh = bool(agreed.get("client_no_context_takeover"))
        self._deflate: Any = None

    def __call__(self, data: bytes) -> bytes:
        """Return a message's payload."""
        if self._deflate is None or self._afresh:
            # zlib makes no windows of 8 bits; what is only stored looks back nowhere.
            level = 9 if self._bits < -8 else 0
            self._deflate = zlib.compressobj(level, zlib.DEFLATED, min(self._bits, -9))
        payload: bytes = self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        assert payload.endswith(TAIL)
        return payload[: -len(TAIL)]


def packed(value: Any) -> Any:
    """Turn a message into what JSON can hold, as the scripted application reads it."""
    if isinstance(value, bytes | bytearray):
        return {"bytes": value.decode("latin-1")}
    if isinstance(value, dict):
        return {key: packed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [packed(item) for item in value]
    return value


def unpacked(value: Any) -> Any:
    """Turn a note of the application into what it was: lists stay lists, bytes become bytes again."""
    if isinstance(value, dict):
        if list(value) == ["bytes"] and isinstance(value["bytes"], str):
            return value["bytes"].encode("latin-1")
        return {key: unpacked(item) for key, item in value.items()}
    return [unpacked(item) for item in value] if isinstance(value, list) else value


class Script:
    """What the application ``websocket_script`` is to do with one WebSocket; see its steps there."""

    def __init__(self, *steps: Any) -> None:
        self.token = f"{os.getpid()}-{next(_numbers)}"
        self.target = "/script?" + urlencode({"token": self.token, "do": json.dumps(packed(steps))})

    def notes(self, server: Server) -> list[Any]:
        """Return what the application has noted."""
        found = unpacked(server.get(f"/notes?token={self.token}"))
        assert isinstance(found, list)
        return found

    def noted(self, server: Server, count: int = 1) -> list[Any]:
        """Wait for so many notes and return them."""
        until(lambda: len(self.notes(server)) >= count, f"{count} notes of {self.token}")
        return self.notes(server)

    def note(self, server: Server, number: int = 0) -> Any:
        """Wait for a note and return it."""
        return self.noted(server, number + 1)[number]

    def release(self, server: Server) -> None:
        """Let the step ``wait`` go on."""
        assert server.get(f"/release?token={self.token}") == "released"


ACCEPT = ["send", {"type": "websocket.accept"}]
CONNECT = ["take"]
"""The first event, not noted."""


def said(text: str | None = None, data: bytes | None = None) -> dict[str, Any]:
    """Return the event of a message that has arrived."""
    return {"type": "websocket.receive", "text": text, "bytes": data}


def ended(code: int, reason: str = "") -> dict[str, Any]:
    """Return the event of a WebSocket's end."""
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def sends(text: str | None = None, data: bytes | None = None) -> list[Any]:
    """Return the step that sends a message."""
    key, value = ("text", text) if text is not None else ("bytes", data)
    return ["send", {"type": "websocket.send", key: value}]


def targets_of(access: str) -> list[str]:
    """Return the lines of an access log, without the clients' addresses."""
    return re.findall(r'127\.0\.0\.1:\d+ - (".*)', access)
