"""Two clients of WebSockets, `websockets` and wsproto, behind one small interface."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import wsproto
import wsproto.events
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from wsproto.extensions import PerMessageDeflate

TIMEOUT = 10.0


class Refused(Exception):
    """The server has answered a handshake with something else than 101."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status, self.headers, self.body = status, headers, body


class ByWebsockets:
    """A WebSocket of the `websockets` library.

    Args:
        url: Beginning with ``ws://``, or with ``wss://`` when ``trust`` is given.
        subprotocols: What is offered.
        trust: What is spoken over TLS.
    """

    def __init__(self, url: str, *subprotocols: Any, trust: ssl.SSLContext | None = None) -> None:
        try:
            opening = connect(
                url, ssl=trust, subprotocols=subprotocols or None, proxy=None, open_timeout=TIMEOUT
            )
            self._connection = contextlib.ExitStack().enter_context(opening)
        except InvalidStatus as refusal:
            answer = refusal.response
            headers = {name.lower(): value for name, value in answer.headers.raw_items()}
            raise Refused(answer.status_code, headers, bytes(answer.body or b"")) from refusal
        self.subprotocol = self._connection.subprotocol
        self.compressed = bool(self._connection.protocol.extensions)

    def send(self, message: str | bytes) -> None:
        """Send a message."""
        self._connection.send(message)

    def take(self) -> str | bytes:
        """Wait for a message."""
        return self._connection.recv(TIMEOUT)

    def end(self) -> tuple[int, str]:
        """Wait for the server's close, and return its code and reason."""
        try:
            message = self._connection.recv(TIMEOUT)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "the connection ended without a close frame"
            return closed.rcvd.code, closed.rcvd.reason
        raise AssertionError(f"a message in place of a close: {message!r}")

    def close(self, code: int, reason: str = "") -> tuple[int, str]:
        """Close, and return the code and the reason by which the server answers."""
        self._connection.close(code, reason)
        return self.end()

    def drop(self) -> None:
        """End the connection without a close frame."""
        with contextlib.suppress(OSError):
            self._connection.socket.shutdown(socket.SHUT_RDWR)


class ByWsproto:
    """A WebSocket of wsproto over a socket of its own; the arguments are those of ``ByWebsockets``."""

    def __init__(self, url: str, *subprotocols: str, trust: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), TIMEOUT)
        if trust is not None:
            self._socket = trust.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._events: list[wsproto.events.Event] = []
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self._write(
            wsproto.events.Request(parts.netloc, target, [PerMessageDeflate()], [], list(subprotocols))
        )
        accepted = self._next()
        if isinstance(accepted, wsproto.events.RejectConnection):
            raise self._refusal(accepted)
        assert isinstance(accepted, wsproto.events.AcceptConnection), accepted
        self.subprotocol = accepted.subprotocol
        self.compressed = bool(accepted.extensions)

    def send(self, message: str | bytes) -> None:
        """Send a message."""
        self._write(wsproto.events.Message(message))

    def take(self) -> str | bytes:
        """Wait for a message."""
        pieces = []
        while True:
            event = self._next()
            assert isinstance(event, wsproto.events.Message), event
            pieces.append(event.data)
            if event.message_finished:
                return pieces[0][:0].join(pieces)

    def end(self) -> tuple[int, str]:
        """Wait for the server's close, answer it, and return its code and reason; the connection ends."""
        event = self._next()
        assert isinstance(event, wsproto.events.CloseConnection), event
        if self._protocol.state is wsproto.connection.ConnectionState.REMOTE_CLOSING:
            self._write(event.response())
        assert self._socket.recv(1) == b"", "bytes behind the close frame"
        self._socket.close()
        return event.code, event.reason or ""

    def close(self, code: int, reason: str = "") -> tuple[int, str]:
        """Close, and return the code and the reason by which the server answers."""
        self._write(wsproto.events.CloseConnection(code, reason))
        return self.end()

    def drop(self) -> None:
        """End the connection without a close frame."""
        self._socket.close()

    def _write(self, event: wsproto.events.Event) -> None:
        self._socket.sendall(self._protocol.send(event))

    def _next(self) -> wsproto.events.Event:
        while True:
            while not self._events:
                data = self._socket.recv(65536)
                self._protocol.receive_data(data or None)
                self._events.extend(self._protocol.events())
            event = self._events.pop(0)
            if isinstance(event, wsproto.events.Ping):
                self._write(event.response())
            else:
                return event

    def _refusal(self, refused: wsproto.events.RejectConnection) -> Refused:
        body, finished = b"", not refused.has_body
        while not finished:
            piece = self._next()
            assert isinstance(piece, wsproto.events.RejectData), piece
            body, finished = body + bytes(piece.data), piece.body_finished
        self._socket.close()
        headers = {name.decode().lower(): value.decode() for name, value in refused.headers}
        return Refused(refused.status_code, headers, body)
