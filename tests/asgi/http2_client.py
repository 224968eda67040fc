"""An HTTP/2 client for the tests: it opens streams as a test wants, and h2 reads strictly what the server sends."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import answer_lint
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
from harness import TIMEOUT, Answer, Closed, Field, Server, until

NO_ERROR = h2.errors.ErrorCodes.NO_ERROR
INTERNAL_ERROR = h2.errors.ErrorCodes.INTERNAL_ERROR
CANCEL = h2.errors.ErrorCodes.CANCEL
REFUSED_STREAM = h2.errors.ErrorCodes.REFUSED_STREAM
ENHANCE_YOUR_CALM = h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


@dataclass
class Stream:
    """A request, and what has come of its answer."""

    number: int
    head: bool = False
    """Whether the request was a HEAD."""
    status: int = 0
    fields: list[Field] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    pieces: int = 0
    interim: list[int] = field(default_factory=list)
    complete: bool = False
    reset: int | None = None
    """The code by which the server has ended the stream."""
    held: int = 0
    """Bytes that were not acknowledged."""
    holds: bool = False
    """Whether bytes are left unacknowledged, so that the stream's window shuts."""

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.complete or self.reset is not None

    def get(self, name: str) -> str | None:
        """Return the value of a field that may stand once at most."""
        values = [value for key, value in self.fields if key == name]
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        """Return the value in the body of a good answer."""
        assert self.status == 200 and self.complete, self
        return json.loads(self.body)


class Http2:
    """One connection.

    Args:
        connection: The socket, connected; over TLS its handshake is done.
        settings: What the server is told, beside the defaults of h2.
        scheme: The scheme of the requests.
        authority: Their authority.
    """

    def __init__(
        self,
        connection: socket.socket,
        settings: dict[int, int] | None = None,
        scheme: str = "http",
        authority: str = "test.example",
    ) -> None:
        self.socket = connection
        self.socket.settimeout(TIMEOUT)
        self.scheme = scheme
        self.authority = authority
        self.streams: dict[int, Stream] = {}
        self.goaways: list[tuple[int, int]] = []
        """The last stream and the code of each GOAWAY that has come."""
        self.ended = False
        self._held = bytearray()
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.flush()

    def __enter__(self) -> Http2:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def flush(self) -> None:
        """Send what h2 has to send."""
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def request(
        self,
        method: str = "GET",
        target: str = "/",
        body: bytes | None = None,
        fields: Iterable[Field] = (),
        *,
        end: bool = True,
    ) -> Stream:
        """Begin a request; with ``end`` it is complete, its body sent as far as the windows let it.

        A body that is longer waits for windows, and what comes meanwhile is taken in. The head leaves in one piece with
        what the body begins with.
        """
        stream = self._head(method, target, fields, end=end and not body)
        if body:
            self.send(stream, body, end=end)
        self.flush()
        return stream

    def open(self, method: str, target: str, fields: Iterable[Field] = (), *, end: bool = False) -> Stream:
        """Send the head of a request."""
        stream = self._head(method, target, fields, end=end)
        self.flush()
        return stream

    def _head(self, method: str, target: str, fields: Iterable[Field], *, end: bool) -> Stream:
        number = self.h2.get_next_available_stream_id()
        head = [
            (":method", method),
            (":scheme", self.scheme),
            (":authority", self.authority),
            (":path", target),
        ]
        stream = self.streams[number] = Stream(number, method == "HEAD")
        self.h2.send_headers(number, [*head, *fields], end_stream=end)
        return stream

    def send(self, stream: Stream, data: bytes, *, end: bool = False) -> int:
        """Send bytes of a body, waiting for the windows; returns how many the server took before the stream's end."""
        at = 0
        while at < len(data) and not stream.over:
            room = min(self.h2.local_flow_control_window(stream.number), self.h2.max_outbound_frame_size)
            if room <= 0:
                self.flush()
                self.read()
                continue
            piece = data[at : at + room]
            at += len(piece)
            self.h2.send_data(stream.number, piece, end_stream=end and at == len(data))
            self.flush()
        if end and not data:
            self.h2.end_stream(stream.number)
            self.flush()
        return at

    def fill(self, stream: Stream) -> int:
        """Send so many bytes as the windows take; returns how many."""
        room = self.h2.local_flow_control_window(stream.number)
        return self.send(stream, bytes(room))

    def cancel(self, stream: Stream, code: int = CANCEL) -> None:
        """Give a stream up."""
        self.h2.reset_stream(stream.number, code)
        self.flush()

    def ask(
        self, method: str = "GET", target: str = "/", body: bytes | None = None, fields: Iterable[Field] = ()
    ) -> Stream:
        """Send a request and return its stream with the whole answer."""
        return self.answer(self.request(method, target, body, fields))

    def answer(self, stream: Stream) -> Stream:
        """Wait for the end of a stream."""
        self.until(lambda: stream.over)
        return stream

    def until(self, condition: Callable[[], bool]) -> None:
        """Take in what comes until a condition holds."""
        while not condition():
            self.read()

    def read(self) -> None:
        """Wait for bytes and take them in.

        Raises:
            Closed: The connection has ended.
        """
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError as error:
            raise Closed("the connection was reset") from error
        if not data:
            self.ended = True
            raise Closed("the connection was closed")
        self._held += data
        while len(self._held) >= 9 and len(self._held) >= (n := 9 + int.from_bytes(self._held[:3], "big")):
            frame = bytes(self._held[:n])
            del self._held[:n]
            for event in self.h2.receive_data(frame):
                self._take(event)
            # At a GOAWAY h2 drops what it has to send, such as that the settings before it are known; who has said
            # goodbye may have ended already, which the next read tells.
            with contextlib.suppress(BrokenPipeError):
                self.flush()

    def poll(self, seconds: float = 0.1) -> None:
        """Take in what comes within a while."""
        self.socket.settimeout(seconds)
        try:
            while True:
                self.read()
        except TimeoutError:
            pass
        finally:
            self.socket.settimeout(TIMEOUT)

    def rest(self) -> None:
        """Take in what comes until the connection ends in order."""
        try:
            while True:
                self.read()
        except Closed:
            assert self.ended, "the connection was reset"

    def release(self, stream: Stream) -> None:
        """Acknowledge what was held of a stream, and all that follows."""
        stream.holds = False
        if stream.held and not stream.over:
            self.h2.acknowledge_received_data(stream.held, stream.number)
        stream.held = 0
        self.flush()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append((event.last_stream_id or 0, int(event.error_code or 0)))
            # h2 takes it for the end; the streams that are named go on (RFC 9113 §6.8).
            self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
            return
        number = getattr(event, "stream_id", None)
        if not number or number not in self.streams:
            return
        stream = self.streams[number]
        if isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(int(dict(event.headers or ())[":status"]))
        elif isinstance(event, h2.events.ResponseReceived):
            (_, status), *fields = event.headers or ()
            stream.status, stream.fields = int(status), fields
        elif isinstance(event, h2.events.DataReceived):
            self._take_data(stream, event)
        elif isinstance(event, h2.events.StreamEnded):
            stream.complete = True
            _lint(stream)
        elif isinstance(event, h2.events.StreamReset) and event.remote_reset:
            stream.reset = int(event.error_code or 0)

    def _take_data(self, stream: Stream, event: h2.events.DataReceived) -> None:
        stream.body += event.data or b""
        stream.pieces += 1
        if stream.holds:
            stream.held += event.flow_controlled_length
            # The connection's window is not the one that is to be shut.
            self.h2.increment_flow_control_window(event.flow_controlled_length)
        elif event.flow_controlled_length:
            self.h2.acknowledge_received_data(event.flow_controlled_length, stream.number)


def _lint(stream: Stream) -> None:
    body = None if stream.head or stream.status in {204, 304} else bytes(stream.body)
    answer_lint.check(("HTTP/2", stream.status, ""), stream.fields, body)


def connect(server: Server, settings: dict[int, int] | None = None) -> Http2:
    """Open a connection without TLS, which begins with HTTP/2."""
    return Http2(socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT), settings)


def connect_tls(context: ssl.SSLContext, port: int) -> Http2:
    """Open a connection over TLS that has agreed on HTTP/2."""
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
    connection = context.wrap_socket(plain, server_hostname="localhost")
    assert connection.selected_alpn_protocol() == "h2"
    return Http2(connection, scheme="https")


def ask(server: Server, method: str, target: str, body: bytes | None, fields: Iterable[Field]) -> Answer:
    """Send one request on a connection of its own, and return its answer as one of HTTP/1.1 would be."""
    if body is not None:
        fields = [*fields, ("content-length", str(len(body)))]
    with connect(server) as client:
        stream = client.ask(method, target, body, [(name.lower(), value) for name, value in fields])
    framing = "length" if stream.get("content-length") else "chunked"
    if method == "HEAD" or stream.status in {204, 304}:
        framing = "none"
    return Answer("HTTP/2", stream.status, "", stream.fields, bytes(stream.body), stream.complete, framing)


def until_page(client: Http2, target: str, wanted: Callable[[Any], bool]) -> Any:
    """Ask for a page until what is in it is wanted; returns it."""
    found: list[Any] = []

    def look() -> bool:
        found.append(client.ask("GET", target).json())
        return wanted(found[-1])

    until(look, target)
    return found[-1]
