"""WebSockets when the server stops: who is told what, and how long it may take."""

from __future__ import annotations

import signal
import time

import pytest
from harness import Serve, Server, until
from websocket_client import (
    ACCEPT,
    APP,
    CONNECT,
    DEFLATE,
    FIELDS,
    TEXT,
    Peer,
    Script,
    close_frame,
    frame,
    reach,
    sends,
)

NONE_TOO = True
# What the application notes cannot be asked for any more: this application prints it.
TELLS = "websocket_stops:app"


def frozen(server: Server) -> None:
    """Stop the process; what arrives from now on waits in the kernel."""
    server.send_signal(signal.SIGSTOP)
    until(lambda: server.state() == "T", "the process is stopped")


def stop_with(server: Server, *peers: Peer, code: int = 1012) -> None:
    """Tell the server to stop; each client gets this code, answers, and sees the end."""
    server.send_signal()
    for peer in peers:
        assert peer.closing()[0] == code
        peer.send(close_frame(code))
        assert peer.closed()
    assert server.wait() == 0, server.log()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_clients_and_application_are_told_1012(own: Serve, library: str, number: int) -> None:
    server = own(TELLS, library)
    with reach(server, "/echo") as one, reach(server, "/echo", offer=DEFLATE) as two:
        for peer in (one, two):
            peer.text("hello")
            assert peer.message() == "hello"
        server.send_signal(number)
        for peer in (one, two):
            assert peer.closing()[0] == 1012
            peer.send(close_frame(1012))
            assert peer.closed()
    assert server.wait() == 0
    assert server.access().count("end 1012") == 2
    assert "ERROR" not in server.log() and "Traceback" not in server.log()


def test_1001_as_an_option(own: Serve, library: str) -> None:
    server = own(TELLS, library, "--ws-shutdown-code", "1001")
    with reach(server, "/echo") as peer:
        stop_with(server, peer, code=1001)
    assert server.access().count("end 1001") == 1


def test_client_that_answers_with_another_code(own: Serve, library: str) -> None:
    """The stop was first: its code is what the application is told, once its messages were delivered."""
    server = own(TELLS, library)
    with reach(server, "/echo") as peer:
        server.send_signal()
        assert peer.closing()[0] == 1012
        peer.send(close_frame(1000, "fine"))
        assert peer.closed()
    assert server.wait() == 0
    assert server.access().count("end 1012") == 1


def test_messages_that_had_arrived_are_delivered(own: Serve, library: str) -> None:
    """They were in the kernel when the signal came."""
    server = own(TELLS, library)
    with reach(server, "/echo") as peer:
        peer.text("before")
        assert peer.message() == "before"
        frozen(server)
        peer.send(b"".join(frame(TEXT, b"%d" % number) for number in range(10)))
        server.send_signal()
        server.send_signal(signal.SIGCONT)
        assert peer.closing()[0] == 1012
        peer.send(close_frame(1012))
        assert peer.closed()
    assert server.wait() == 0
    lines = [line.split()[-1] for line in server.access().splitlines() if line.startswith(("got ", "end "))]
    assert lines == ["before", *map(str, range(10)), "1012"]


def test_messages_of_the_queue_are_delivered(own: Serve, library: str) -> None:
    """They were read, and the application was slow; it cannot answer them any more."""
    server = own(TELLS, library)
    with reach(server, "/slow?first=hold") as peer:
        peer.send(b"".join(frame(TEXT, b"%d" % number) for number in range(20)))
        until(lambda: "held" in server.access(), "the application is at work")
        server.send_signal()
        assert peer.closing()[0] == 1012
        peer.send(close_frame(1012))
        assert peer.closed()
    assert server.wait() == 0
    lines = [line.split()[-1] for line in server.access().splitlines() if line.startswith(("got ", "end "))]
    assert lines == [*map(str, range(20)), "1012"]


def test_client_that_does_not_answer(own: Serve, library: str) -> None:
    """The closing handshake has its time, and no more."""
    server = own(TELLS, library, "--ws-close-timeout", "0.5")
    with reach(server, "/echo") as peer:
        began = time.monotonic()
        server.send_signal()
        assert peer.closing()[0] == 1012
        assert server.wait() == 0
        assert 0.4 < time.monotonic() - began < 4
        assert peer.gone()
    assert server.access().count("end 1012") == 1


def test_client_that_does_not_read(own: Serve, library: str) -> None:
    """Its close frame is stuck, and the stop does not wait for ever."""
    server = own(APP, library, "--ws-close-timeout", "0.5", "--timeout-write", "2")
    script = Script(CONNECT, ACCEPT, ["flood", 60_000, 100_000])
    with reach(server, script.target, room=2048):
        time.sleep(0.3)
        began = time.monotonic()
        server.send_signal()
        assert server.wait(10) == 0
        assert time.monotonic() - began < 8
    assert "Traceback" not in server.log()


def test_many_at_once(own: Serve, library: str) -> None:
    server = own(TELLS, library)
    peers = [reach(server, "/echo", offer=DEFLATE if number % 2 else None) for number in range(200)]
    try:
        stop_with(server, *peers)
    finally:
        for peer in peers:
            peer.close()
    assert server.access().count("end 1012") == 200


@pytest.mark.parametrize("then", ["accept", "close", "deny"])
def test_handshake_in_progress(own: Serve, library: str, then: str) -> None:
    """It was there before the stop: an accept is closed at once, a refusal is sent as ever."""
    server = own(TELLS, library)
    with Peer(server.connect().socket) as peer:
        frozen(server)
        peer.ask_upgrade(f"/late?then={then}", FIELDS)
        server.send_signal()
        server.send_signal(signal.SIGCONT)
        answer = peer.answer()
        if then == "accept" and answer.status == 101:
            assert peer.closing()[0] == 1012
            peer.send(close_frame(1012))
        else:
            assert answer.status in ({503} if then == "accept" else {403, 503})
        assert peer.closed()
    assert server.wait() == 0
    assert "Traceback" not in server.log()


def test_accept_after_the_stop(own: Serve, library: str) -> None:
    """The application accepts when it is told that the server stops; the client gets 1012 right behind the 101."""
    server = own(TELLS, library)
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade("/accept-at-stop")
        until(lambda: "waits" in server.access(), "the handshake")
        server.send_signal()
        peer.opened()
        assert peer.closing()[0] == 1012
        peer.send(close_frame(1012))
        assert peer.closed()
    assert server.wait() == 0
    assert server.access().count("end 1012") == 1


def test_denial_after_the_stop(own: Serve, library: str) -> None:
    server = own(TELLS, library)
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade("/deny-at-stop")
        until(lambda: "waits" in server.access(), "the handshake")
        server.send_signal()
        answer = peer.answer()
        assert (answer.status, answer.body) == (503, b"stopping")
        assert peer.closed()
    assert server.wait() == 0


def test_application_that_does_not_end(own: Serve, library: str) -> None:
    """What goes on after its disconnect is cancelled when the time of the stop is over."""
    server = own(APP, library, "--timeout-graceful-shutdown", "1")
    with reach(server, Script(CONNECT, ACCEPT, ["drain"], ["sleep", 60]).target) as peer:
        began = time.monotonic()
        server.send_signal()
        assert peer.closing()[0] == 1012
        peer.send(close_frame(1012))
        assert server.wait() == 0
        assert 0.9 < time.monotonic() - began < 5


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_application_that_is_deaf_to_its_disconnect(own: Serve, library: str, kind: str) -> None:
    """One that receives on and on takes time, but others are served, and the stop cancels it."""
    server = own(TELLS, library, "--timeout-graceful-shutdown", "0.5")
    if kind == "websocket":
        reach(server, "/deaf").close()
    else:
        with server.connect() as client:
            client.send(b"GET /deaf HTTP/1.1\r\nHost: a\r\n\r\n")
            client.answer(head=True)
    until(lambda: f"deaf to {kind}.disconnect" in server.access(), "the disconnect")
    for _ in range(3):
        with reach(server, "/echo") as peer:
            peer.text("hello")
            assert peer.message() == "hello"
            peer.leave()
    server.send_signal()
    assert server.wait() == 0


def test_second_signal_ends_at_once(own: Serve, library: str) -> None:
    server = own(TELLS, library)
    with reach(server, "/echo") as peer:
        server.send_signal(signal.SIGINT)
        assert peer.closing()[0] == 1012
        began = time.monotonic()
        server.send_signal(signal.SIGINT)
        server.wait(8)
        assert time.monotonic() - began < 5


def test_stop_while_a_close_is_under_way(own: Serve, library: str) -> None:
    """The application has closed already: there is one close frame, and it is the application's."""
    server = own(APP, library, "--ws-close-timeout", "2")
    script = Script(CONNECT, ACCEPT, sends("bye"), ["send", {"type": "websocket.close", "code": 4000}])
    with reach(server, script.target) as peer:
        assert peer.message() == "bye"
        assert peer.closing()[0] == 4000
        server.send_signal()
        assert peer.quiet(0.3)
        peer.send(close_frame(4000))
        assert peer.closed()
    assert server.wait() == 0


def test_lifespan_ends_after_the_websockets(own: Serve, library: str) -> None:
    """L6: it is told of the shutdown when all of them have ended."""
    server = own(TELLS, library)
    with reach(server, "/echo") as peer:
        stop_with(server, peer)
    lines = [line for line in server.access().splitlines() if line.startswith(("end ", "lifespan "))]
    assert lines == ["lifespan startup", "end 1012", "lifespan shutdown"]
