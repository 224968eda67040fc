"""WebSockets on streams of HTTP/2 (RFC 8441): as those of HTTP/1.1, beside other exchanges of the connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import h2.settings
import pytest
from harness import Closed, Field, Serve, Server, until
from http2_client import CANCEL, NO_ERROR, Http2, Stream, connect
from websocket_client import (
    ACCEPT,
    APP,
    BINARY,
    CONNECT,
    DEFLATE,
    PING,
    PONG,
    TEXT,
    Peer,
    Script,
    close_frame,
    ended,
    frame,
)

from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_http2(), reason="HTTP/2 is not built in")

ENABLE = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
VERSION: Field = ("sec-websocket-version", "13")


class Tunnel(Peer):
    """One end of a WebSocket whose bytes go over a stream."""

    def __init__(self, client: Http2, stream: Stream) -> None:
        super().__init__(client.socket)
        self.client = client
        self.stream = stream

    def send(self, data: bytes) -> None:
        """Send all of ``data``, as the windows allow."""
        self.client.send(self.stream, data)

    def end(self) -> None:
        """End our side of the stream."""
        self.client.h2.end_stream(self.stream.number)
        self.client.flush()

    def _more(self) -> None:
        while not self.stream.body:
            if self.stream.over:
                raise Closed("the stream is over")
            self.client.read()
        self._held += self.stream.body
        self.stream.body.clear()


@pytest.fixture
def server(shared: Serve, library: str) -> Server:
    """A server of scripted WebSockets."""
    return shared(APP, library, "--http2")


@pytest.fixture
def client(server: Server) -> Any:
    """A connection to it that knows of its settings."""
    with connect(server) as opened:
        opened.until(lambda: opened.h2.remote_settings.get(ENABLE) == 1)
        yield opened


def ask(client: Http2, target: str, fields: Iterable[Field] = (VERSION,)) -> Stream:
    """Send an extended CONNECT."""
    return client.open("CONNECT", target, [(":protocol", "websocket"), *fields])


def reach(client: Http2, target: str, fields: Iterable[Field] = ()) -> Tunnel:
    """Open a WebSocket."""
    stream = ask(client, target, [VERSION, *fields])
    client.until(lambda: stream.status != 0)
    assert stream.status == 200 and not stream.over, stream
    names = {name for name, _ in stream.fields}
    assert not names & {
        "sec-websocket-accept",
        "upgrade",
        "connection",
        "content-length",
        "transfer-encoding",
    }
    return Tunnel(client, stream)


def test_messages_go_both_ways(client: Http2) -> None:
    with_others = client.request("GET", "/connected")
    peer = reach(client, "/echo")
    for size in (0, 1, 125, 126, 65535, 65536, 300_000):
        peer.send(frame(BINARY, bytes(size)))
        assert peer.message() == bytes(size)
    peer.text("grüße")
    assert peer.message() == "grüße"
    peer.send(frame(PING, b"ping"))
    found = peer.read()
    assert (found.opcode, found.payload) == (PONG, b"ping")
    client.answer(with_others)


def test_many_at_once(client: Http2) -> None:
    peers = [reach(client, "/echo") for _ in range(20)]
    for n, peer in enumerate(peers):
        peer.text(f"text {n}")
    for n, peer in enumerate(peers):
        assert peer.message() == f"text {n}"


def test_scope(client: Http2, server: Server) -> None:
    does = Script(["note-scope"], ["send", {"type": "websocket.accept", "subprotocol": "b"}], ["drain"])
    peer = reach(client, does.target, [("sec-websocket-protocol", "a, b"), ("x-field", "1")])
    assert peer.stream.get("sec-websocket-protocol") == "b"
    scope = does.note(server)
    assert (scope["type"], scope["scheme"], scope["http_version"]) == ("websocket", "ws", "2")
    assert scope["subprotocols"] == ["a", "b"] and "method" not in scope
    assert [b"x-field", b"1"] in scope["headers"] and scope["headers"][0] == [b"host", b"test.example"]


def test_compression_is_agreed(client: Http2) -> None:
    peer = reach(client, "/echo", [("sec-websocket-extensions", DEFLATE)])
    assert (peer.stream.get("sec-websocket-extensions") or "").startswith(DEFLATE)


@pytest.mark.parametrize("keys", [["x"], ["A" * 24] * 60], ids=["short", "many"])
def test_keys_are_not_looked_at(client: Http2, keys: list[str]) -> None:
    """A stream has no key (RFC 8441 section 5): any number, of any length, is answered with none."""
    stream = ask(
        client, Script(CONNECT, ACCEPT).target, [VERSION, *(("sec-websocket-key", key) for key in keys)]
    )
    client.until(lambda: stream.status != 0)
    assert stream.status == 200 and stream.get("sec-websocket-accept") is None


def test_bytes_before_the_answer_are_kept(client: Http2) -> None:
    stream = ask(client, "/echo")
    client.send(stream, frame(TEXT, b"early"))
    assert Tunnel(client, stream).message() == "early"


@pytest.mark.parametrize("code", [1000, 4321])
def test_close_of_the_client(client: Http2, code: int) -> None:
    """The close frame is answered, then the stream ends in order, and the connection goes on."""
    peer = reach(client, "/echo")
    peer.send(close_frame(code))
    assert peer.closing()[0] == code
    client.answer(peer.stream)
    assert peer.stream.complete and peer.stream.reset in {None, NO_ERROR}
    assert client.ask("GET", "/notes?token=none").status == 200


def test_close_of_the_application(client: Http2) -> None:
    accept = ACCEPT
    close = ["send", {"type": "websocket.close", "code": 4000, "reason": "enough"}]
    peer = reach(client, Script(accept, close).target)
    assert peer.closing() == (4000, "enough")
    peer.send(close_frame(4000))
    client.answer(peer.stream)
    assert peer.stream.complete


def test_denial_is_an_answer(client: Http2) -> None:
    close = ["send", {"type": "websocket.close"}]
    stream = client.answer(ask(client, Script(close).target))
    assert (stream.status, stream.complete) == (403, True)
    start = ["send", {"type": "websocket.http.response.start", "status": 401, "headers": []}]
    body = ["send", {"type": "websocket.http.response.body", "body": {"bytes": "who are you?"}}]
    stream = client.answer(ask(client, Script(start, body).target))
    assert (stream.status, bytes(stream.body)) == (401, b"who are you?")
    assert client.ask("GET", "/notes?token=none").status == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [((), 400), ((("sec-websocket-version", "12"),), 426), ((VERSION, VERSION), 400)],
)
def test_version_must_be_13(client: Http2, fields: Iterable[Field], status: int) -> None:
    assert client.answer(ask(client, "/echo", fields)).status == status
    assert client.ask("GET", "/notes?token=none").status == 200


def test_without_websockets_it_is_refused(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--http2", "--ws", "none")
    with connect(server) as client:
        assert client.answer(ask(client, "/echo")).status == 501
        assert client.ask("GET", "/notes?token=none").status == 200


@pytest.mark.parametrize("how", ["reset", "end", "close the connection"])
def test_client_that_leaves_is_a_disconnect(server: Server, how: str) -> None:
    does = Script(CONNECT, ACCEPT, ["drain"])
    with connect(server) as client:
        peer = reach(client, does.target)
        if how == "reset":
            client.cancel(peer.stream, CANCEL)
        elif how == "end":
            peer.end()
            client.answer(peer.stream)
            assert peer.stream.complete
        else:
            client.close()
        assert does.note(server) == ended(1006)


def test_end_of_a_stream_is_answered_at_once(client: Http2) -> None:
    """Nothing else need happen on the connection for that, so that no stream stays open meanwhile."""
    peer = reach(client, "/echo")
    peer.text("hello")
    assert peer.message() == "hello"
    client.poll(0.1)
    peer.end()
    client.poll(0.5)
    assert peer.stream.complete


def test_bad_frame_ends_the_stream_alone(client: Http2) -> None:
    other = reach(client, "/echo")
    peer = reach(client, "/echo")
    peer.send(frame(3, b"reserved"))
    assert peer.closing()[0] == 1002
    client.answer(peer.stream)
    other.text("still there")
    assert other.message() == "still there"


def test_messages_that_nobody_takes_shut_the_window(client: Http2, server: Server) -> None:
    """What the application does not receive waits at the client; others on the connection go on."""
    does = Script(CONNECT, ACCEPT, ["wait"], ["drain"])
    peer = reach(client, does.target)
    sent, shut = 0, 0
    while shut < 25:  # for a while, not only until the server has come to it
        if client.h2.local_flow_control_window(peer.stream.number) > 4000:
            peer.send(frame(BINARY, bytes(2000)))
            sent, shut = sent + 1, 0
        else:
            shut += 1
        client.poll(0.01 if shut else 0.001)
        assert sent < 3000
    other = reach(client, "/echo")
    other.text("beside")
    assert other.message() == "beside"
    does.release(server)
    for _ in range(200):
        peer.send(frame(BINARY, bytes(2000)))
    peer.send(close_frame())
    assert peer.closing()[0] == 1000


def test_client_that_does_not_read_holds_send(client: Http2, server: Server) -> None:
    does = Script(CONNECT, ACCEPT, ["flood", 10_000, 1000])
    stream = ask(client, does.target)
    stream.holds = True
    client.until(lambda: len(stream.body) >= 65535)
    other = reach(client, "/echo")
    other.text("beside")
    assert other.message() == "beside"
    client.poll(0.1)
    assert len(stream.body) == 65535
    client.cancel(stream)
    assert does.note(server)


def test_stop_closes_with_1012(own: Serve, library: str) -> None:
    server = own(APP, library, "--http2")
    with connect(server) as client:
        peer = reach(client, "/echo")
        server.send_signal()
        assert peer.closing()[0] == 1012
        peer.send(close_frame(1012))
        client.rest()
        assert peer.stream.complete
    assert server.wait() == 0


def test_stop_when_the_client_has_ended_its_side(own: Serve, library: str) -> None:
    """What it had sent is given, also what was not yet parsed as the queue was full; then the application is told."""
    server = own("websocket_stops:app", library, "--http2", "--ws-max-queue", "4")
    with connect(server) as client:
        peer = reach(client, "/slow")
        for number in range(10):
            peer.text(str(number))
        peer.end()
        until(lambda: "held" in server.access(), "the application is at work")
        client.poll(0.2)
        server.send_signal()
        assert server.wait() == 0
    lines = [line.split()[-1] for line in server.access().splitlines() if line.startswith(("got ", "end "))]
    assert lines == [*map(str, range(10)), "1012"]


def test_handshake_that_is_not_answered_in_time(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--http2", "--ws-handshake-timeout", "0.3")
    with connect(server) as client:
        other = reach(client, "/echo")
        stream = client.answer(ask(client, Script(["drain"]).target))
        assert stream.status == 504
        other.text("still there")
        assert other.message() == "still there"


def test_ping_that_is_not_answered_ends_the_stream(shared: Serve, library: str) -> None:
    options = ("--ws-ping-interval", "0.2", "--ws-ping-timeout", "0.2")
    server = shared(APP, library, "--http2", *options)
    with connect(server) as client:
        peer = reach(client, "/echo")
        assert peer.read().opcode == PING
        assert peer.read().code == 1011
        client.answer(peer.stream)
        assert client.ask("GET", "/notes?token=none").status == 200
