"""Clients of WebSockets behind one small interface: `websockets`, and wsproto over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import wsproto
import wsproto.events
from http2_client import Http2, connect_tls
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from wsproto.connection import Connection
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
        if trust is not None:
            # It reads and writes in two threads, and OpenSSL may lose its place when tickets of TLS 1.3 come
            # meanwhile: one handshake of a hundred is not answered then, whatever the server is.
            trust.maximum_version = ssl.TLSVersion.TLSv1_2
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


class _Wsproto:
    """What wsproto does once a WebSocket is open, over anything that carries bytes."""

    _protocol: wsproto.WSConnection | Connection
    _events: list[wsproto.events.Event]

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
        """Wait for the server's close, answer it, and return its code and reason; what carried the WebSocket ends."""
        event = self._next()
        assert isinstance(event, wsproto.events.CloseConnection), event
        if self._protocol.state is wsproto.connection.ConnectionState.REMOTE_CLOSING:
            self._write(event.response())
        self._finish()
        return event.code, event.reason or ""

    def close(self, code: int, reason: str = "") -> tuple[int, str]:
        """Close, and return the code and the reason by which the server answers."""
        self._write(wsproto.events.CloseConnection(code, reason))
        return self.end()

    def _write(self, event: wsproto.events.Event) -> None:
        self._put(self._protocol.send(event))

    def _next(self) -> wsproto.events.Event:
        while True:
            while not self._events:
                self._protocol.receive_data(self._get() or None)
                self._events.extend(self._protocol.events())
            event = self._events.pop(0)
            if isinstance(event, wsproto.events.Ping):
                self._write(event.response())
            else:
                return event

    def _put(self, data: bytes) -> None:
        raise NotImplementedError

    def _get(self) -> bytes:
        """Wait for bytes; none are the end."""
        raise NotImplementedError

    def _finish(self) -> None:
        """Wait for the end, without further bytes."""
        raise NotImplementedError


class ByWsproto(_Wsproto):
    """A WebSocket of wsproto over a socket of its own; the arguments are those of ``ByWebsockets``."""

    def __init__(self, url: str, *subprotocols: str, trust: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), TIMEOUT)
        if trust is not None:
            self._socket = trust.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._events = []
        request = (parts.netloc, _target(url), [PerMessageDeflate()], [], list(subprotocols))
        self._write(wsproto.events.Request(*request))
        accepted = self._next()
        if isinstance(accepted, wsproto.events.RejectConnection):
            raise self._refusal(accepted)
        assert isinstance(accepted, wsproto.events.AcceptConnection), accepted
        self.subprotocol = accepted.subprotocol
        self.compressed = bool(accepted.extensions)

    def drop(self) -> None:
        """End the connection without a close frame."""
        self._socket.close()

    def _put(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _get(self) -> bytes:
        return self._socket.recv(65536)

    def _finish(self) -> None:
        assert self._socket.recv(1) == b"", "bytes behind the close frame"
        self._socket.close()

    def _refusal(self, refused: wsproto.events.RejectConnection) -> Refused:
        body, finished = b"", not refused.has_body
        while not finished:
            piece = self._next()
            assert isinstance(piece, wsproto.events.RejectData), piece
            body, finished = body + bytes(piece.data), piece.body_finished
        self._socket.close()
        headers = {name.decode().lower(): value.decode() for name, value in refused.headers}
        return Refused(refused.status_code, headers, body)


class ByHttp2(_Wsproto):
    """A WebSocket on a stream of HTTP/2 (RFC 8441); wsproto makes its frames, and h2 those of HTTP/2.

    Args:
        url: Beginning with ``wss://``.
        subprotocols: What is offered.
        trust: What is spoken over TLS.
        connection: The connection that it shares with others; without one it has its own.
    """

    def __init__(
        self,
        url: str,
        *subprotocols: str,
        trust: ssl.SSLContext | None = None,
        connection: Http2 | None = None,
    ) -> None:
        parts = urlsplit(url)
        assert trust is not None and parts.port is not None
        self._alone = connection is None
        self._connection = connection or connect_tls(trust, parts.port)
        self._connection.authority = parts.netloc
        self._connection.until(lambda: self._connection.h2.remote_settings.enable_connect_protocol == 1)
        deflate = PerMessageDeflate()
        fields = [(":protocol", "websocket"), ("sec-websocket-version", "13")]
        fields += [("sec-websocket-extensions", f"permessage-deflate; {deflate.offer()}")]
        fields += [("sec-websocket-protocol", ", ".join(subprotocols))] if subprotocols else []
        self.stream = self._connection.open("CONNECT", _target(url), fields)
        self._connection.until(lambda: self.stream.status != 0 or self.stream.over)
        if self.stream.status != 200:
            raise self._refusal()
        extensions = self.stream.get("sec-websocket-extensions")
        if extensions is not None:
            deflate.finalize(extensions)
        self._protocol = Connection(wsproto.ConnectionType.CLIENT, [deflate] if extensions else [])
        self._events = []
        self.subprotocol = self.stream.get("sec-websocket-protocol")
        self.compressed = extensions is not None

    def drop(self) -> None:
        """Give the stream up without a close frame."""
        self._connection.cancel(self.stream)

    def _put(self, data: bytes) -> None:
        self._connection.send(self.stream, data)

    def _get(self) -> bytes:
        self._connection.until(lambda: bool(self.stream.body) or self.stream.over)
        data = bytes(self.stream.body)
        self.stream.body.clear()
        return data

    def _finish(self) -> None:
        if not self.stream.complete:
            self._connection.until(lambda: self.stream.over)
        assert (self.stream.complete, bytes(self.stream.body)) == (True, b""), self.stream
        if self.stream.reset is None:
            self._connection.send(self.stream, b"", end=True)
        assert not self.stream.reset, "the stream was reset for an error"
        if self._alone:
            self._connection.close()

    def _refusal(self) -> Refused:
        self._connection.answer(self.stream)
        assert self.stream.complete, self.stream
        return Refused(self.stream.status, dict(self.stream.fields), bytes(self.stream.body))


def _target(url: str) -> str:
    """Return the path of a URL with its query."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
