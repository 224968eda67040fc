"""How WebSockets end: RFC 6455 §7, and the statements about websocket.close and websocket.disconnect."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

import pytest
from harness import Closed, Serve, until
from websocket_client import (
    ACCEPT,
    APP,
    BINARY,
    CLOSE,
    CONNECT,
    FIELDS,
    PING,
    TEXT,
    Peer,
    Script,
    close_frame,
    ended,
    frame,
    reach,
    refused,
    said,
    sends,
)

NONE_TOO = True
MESSAGE = {"type": "websocket.send", "text": "too late"}
CLOSING = {"type": "websocket.close"}


def closes(code: int | None = None, reason: str | None = None) -> list[Any]:
    """Return the step that closes."""
    message: dict[str, Any] = dict(CLOSING)
    if code is not None:
        message["code"] = code
    if reason is not None:
        message["reason"] = reason
    return ["send", message]


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]
)
@pytest.mark.parametrize("reason", ["", "auf Wiedersehen, schönen Tag"])
def test_W8_client_closes(shared: Serve, library: str, code: int, reason: str) -> None:
    """Its code and reason reach the application, and the code comes back."""
    script = Script(CONNECT, ACCEPT, ["drain"], ["note"], ["note"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        assert peer.leave(code, reason)[0] == code
    assert script.noted(server, 3) == [ended(code, reason)] * 3


def test_W8_close_without_a_code_is_1005(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        assert peer.leave(None)[0] in {None, 1000}
    assert script.note(server) == ended(1005)


def test_longest_reason(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.leave(3000, "r" * 123)
    assert script.note(server) == ended(3000, "r" * 123)


@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize("when", ["idle", "in-a-frame", "in-a-message", "in-a-close"])
def test_W8_connection_that_breaks_is_1006(shared: Serve, library: str, how: str, when: str) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"], ["note"])
    server = shared(APP, library)
    part = {
        "idle": b"",
        "in-a-frame": frame(TEXT, b"abc", length=1000),
        "in-a-message": frame(TEXT, b"abc", fin=False),
        "in-a-close": close_frame(1000)[:-1],
    }[when]
    with reach(server, script.target) as peer:
        peer.send(frame(TEXT, b"whole") + part)
        until(lambda: script.notes(server), "the first message")
        if how == "close":
            peer.close()
        elif how == "reset":
            peer.reset()
        else:
            peer.socket.shutdown(socket.SHUT_WR)
            assert peer.gone()
        assert script.noted(server, 3) == [said("whole"), ended(1006), ended(1006)]


@pytest.mark.parametrize(
    "code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535]
)
def test_invalid_code_on_the_wire(shared: Serve, library: str, code: int) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.send(close_frame(code, "bad"))
        assert peer.closing()[0] == 1002 and peer.closed()
    assert script.note(server)["code"] == 1002


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x03", 1002), (b"\x03\xe8\xff", 1007), (b"\x03\xe8\xe2\x82", 1007), (b"\x03\xe8" + b"a" * 124, 1002)],
    ids=["one-byte", "not-utf8", "cut-utf8", "too-long"],
)
def test_bad_close_frames(shared: Serve, library: str, payload: bytes, code: int) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.send(frame(CLOSE, payload))
        assert peer.closing()[0] == code and peer.closed()
    assert script.note(server)["code"] == code


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (closes(), (1000, "")),
        (closes(1001), (1001, "")),
        (closes(3456, "schön war es"), (3456, "schön war es")),
        (closes(4999, "r" * 123), (4999, "r" * 123)),
        (["send", {"type": "websocket.close", "code": 4000, "reason": None}], (4000, "")),
        (["send", {"type": "websocket.close", "code": 4000, "later": 1}], (4000, "")),
    ],
    ids=["default", "code", "reason", "longest", "reason-none", "extra-keys"],
)
def test_W7_application_closes(
    shared: Serve, library: str, step: list[Any], expected: tuple[int, str]
) -> None:
    """What it sent before arrives first; it is told of its own close at once, again and again."""
    script = Script(CONNECT, ACCEPT, sends("last words"), step, ["note"], ["note"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        assert peer.message() == "last words"
        assert script.noted(server, 2) == [ended(*expected)] * 2
        assert peer.closing() == expected
        assert peer.quiet(0.2), "the client's close frame is waited for"
        peer.send(close_frame(expected[0]))
        assert peer.closed()


def test_W7_what_was_not_received_is_gone_after_the_own_close(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ACCEPT, ["take"], closes(4001), ["note"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.send(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(TEXT, b"three"))
        assert peer.failed() == 4001
    assert script.note(server) == ended(4001)


def test_return_after_accept_closes_with_1000(shared: Serve, library: str) -> None:
    with reach(shared(APP, library), Script(CONNECT, ACCEPT, sends("bye")).target) as peer:
        assert peer.message() == "bye"
        assert peer.failed() == 1000


def test_G6_exception_after_accept_closes_with_1011(shared: Serve, library: str) -> None:
    """And is logged with its traceback."""
    server = shared(APP, library)
    before = server.log().count("ValueError: on purpose")
    with reach(server, Script(CONNECT, ACCEPT, sends("bye"), ["raise"]).target) as peer:
        assert peer.message() == "bye"
        assert peer.failed() == 1011
    until(lambda: server.log().count("ValueError: on purpose") == before + 1, "the traceback")


def test_exception_before_accept_is_500(own: Serve, library: str) -> None:
    server = own(APP, library)
    assert refused(server, FIELDS, Script(CONNECT, ["raise"]).target).status == 500
    assert server.stop() == 0
    assert server.log().count("ValueError: on purpose") == 1


def test_return_before_accept_is_500_and_is_told(own: Serve, library: str) -> None:
    server = own(APP, library)
    assert refused(server, FIELDS, Script(CONNECT).target).status == 500
    assert server.stop() == 0
    lines = [line for line in server.log().splitlines() if "ERROR" in line]
    assert len(lines) == 1 and "return" in lines[0], server.log()


def test_exception_after_the_own_close_is_logged(own: Serve, library: str) -> None:
    """The client sees the close that was sent."""
    server = own(APP, library)
    with reach(server, Script(CONNECT, ACCEPT, closes(4002), ["raise"]).target) as peer:
        assert peer.failed() == 4002
    until(lambda: "ValueError: on purpose" in server.log(), "the traceback")
    assert server.stop() == 0


@pytest.mark.parametrize("message", [{}, {"code": 4000}, {"code": 1000, "reason": "no"}])
def test_W4_W7_close_before_accept_is_403(shared: Serve, library: str, message: dict[str, Any]) -> None:
    script = Script(CONNECT, ["send", {**CLOSING, **message}], ["note"], ["note"], ["try", MESSAGE])
    server = shared(APP, library)
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade(script.target)
        answer = peer.answer()
        assert answer.status == 403 and not answer.all("sec-websocket-accept")
        assert peer.closed()
    first, second, raised = script.noted(server, 3)
    assert first == second and first["type"] == "websocket.disconnect"
    assert "OSError" in raised


def test_W7_close_before_connect_was_received(shared: Serve, library: str) -> None:
    assert refused(shared(APP, library), FIELDS, Script(closes()).target).status == 403


def test_W9_G8_send_after_the_clients_close_raises(own: Serve, library: str) -> None:
    """An OSError of our own, which is not logged when it comes back out of the application."""
    server = own(APP, library)
    script = Script(
        CONNECT, ACCEPT, ["drain"], ["try", MESSAGE], ["try", CLOSING], sends("out of the application")
    )
    with reach(server, script.target) as peer:
        assert peer.leave(3003)[0] == 3003
    _, raised, closed = script.noted(server, 3)
    assert raised[0] == "ClientDisconnected" and "OSError" in raised
    assert closed == "sent", "a close of what is closed is ignored"
    assert server.stop() == 0
    assert "Traceback" not in server.log() and "ERROR" not in server.log()


def test_W9_send_after_the_connection_broke_raises(own: Serve, library: str) -> None:
    server = own(APP, library)
    script = Script(
        CONNECT, ACCEPT, ["drain"], ["try", MESSAGE], ["try", CLOSING], sends("out of the application")
    )
    peer = reach(server, script.target)
    peer.reset()
    end, raised, closed = script.noted(server, 3)
    assert end == ended(1006) and raised[0] == "ClientDisconnected" and closed == "sent"
    assert server.stop() == 0
    assert "Traceback" not in server.log() and "ERROR" not in server.log()


def test_W9_send_after_the_own_close_raises(shared: Serve, library: str) -> None:
    """A second close is ignored, and so are its code and reason."""
    script = Script(
        CONNECT, ACCEPT, closes(4003), ["try", MESSAGE], ["try", {**CLOSING, "code": 4004}], ["note"]
    )
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        assert peer.failed() == 4003
    raised, closed, event = script.noted(server, 3)
    assert "OSError" in raised and closed == "sent" and event == ended(4003)


def test_W9_accept_after_the_end_raises(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"], ["try", {"type": "websocket.accept"}])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.leave()
    raised = script.note(server, 1)
    assert raised != "sent" and {"OSError", "RuntimeError"} & set(raised)


def test_frames_after_a_close_frame_are_ignored(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.send(frame(TEXT, b"before") + close_frame(3000) + frame(TEXT, b"after") + frame(PING, b"after"))
        assert peer.closing() == (3000, "") and peer.closed()
    assert script.noted(server, 2) == [said("before"), ended(3000)]
    assert len(script.notes(server)) == 2


def test_messages_before_the_close_are_delivered(shared: Serve, library: str) -> None:
    """More of them than wait at once."""
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.send(b"".join(frame(TEXT, b"%d" % number) for number in range(200)) + close_frame(3000, "done"))
        assert peer.closing()[0] == 3000 and peer.closed()
    assert script.noted(server, 201) == [*(said(str(number)) for number in range(200)), ended(3000, "done")]


@pytest.mark.parametrize("how", ["close", "half"])
def test_messages_before_the_connection_ends_are_delivered(shared: Serve, library: str, how: str) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.send(b"".join(frame(TEXT, b"%d" % number) for number in range(200)))
        if how == "close":
            peer.close()
        else:
            peer.socket.shutdown(socket.SHUT_WR)
            assert peer.gone()
        assert script.noted(server, 201) == [*(said(str(number)) for number in range(200)), ended(1006)]


def test_both_close_at_once(shared: Serve, library: str) -> None:
    """Each side's close frame answers the other's."""
    script = Script(CONNECT, ACCEPT, ["take"], closes(4005), ["note"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        peer.send(frame(TEXT, b"go") + close_frame(3005))
        assert peer.closing()[0] in {3005, 4005}
        assert peer.closed()
    assert script.note(server)["code"] in {3005, 4005}


def test_peer_that_never_finishes_the_close(shared: Serve, library: str) -> None:
    """It has so many seconds, whatever it sends in the meantime."""
    server = shared(APP, library, "--ws-close-timeout", "0.5")
    before = server.descriptors()
    for chatty in (False, True):
        with reach(server, Script(CONNECT, ACCEPT, closes(4006)).target) as peer:
            assert peer.closing()[0] == 4006
            began = time.monotonic()
            try:
                while chatty and time.monotonic() < began + 5:
                    peer.send(frame(BINARY, bytes(1000)))
                    time.sleep(0.02)
            except OSError:
                pass
            assert peer.gone(5)
            assert 0.4 < time.monotonic() - began < 3
    until(lambda: server.descriptors() <= before, "the descriptors are back")


def test_connection_ends_when_the_peer_has_closed(shared: Serve, library: str) -> None:
    """The server is the first to end it (RFC 6455 §7.1.1), and does so soon."""
    with reach(shared(APP, library)) as peer:
        began = time.monotonic()
        assert peer.leave() == (1000, "")
        assert time.monotonic() - began < 2


def test_W1_application_goes_on_after_the_end(shared: Serve, library: str) -> None:
    """It may take its time when its client has gone; its end is that of its scope."""
    script = Script(CONNECT, ACCEPT, ["drain"], ["note"], ["done"])
    server = shared(APP, library)
    reach(server, script.target).close()
    assert script.noted(server, 3)[2] == "done"


def test_bytes_behind_the_handshake_of_a_refused_one_are_no_request(shared: Serve, library: str) -> None:
    """What follows a refused handshake is not taken for HTTP."""
    server = shared(APP, library)
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade(Script(CONNECT, closes()).target, behind=b"GET /asked HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = peer.answer()
        assert answer.status == 403
        with contextlib.suppress(Closed):
            assert peer.rest() == b""
