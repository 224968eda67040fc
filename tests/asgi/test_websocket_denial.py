"""Answers in the place of a WebSocket: the extension websocket.http.response."""

from __future__ import annotations

import time
from typing import Any

import pytest
from harness import Answer, Serve, until
from websocket_client import APP, CONNECT, FIELDS, Peer, Script, refused, targets_of

NONE_TOO = True


def start(status: int = 401, headers: Any = (), **more: Any) -> dict[str, Any]:
    """Return the message that starts an answer."""
    return {"type": "websocket.http.response.start", "status": status, "headers": list(headers), **more}


def body(data: bytes = b"", **more: Any) -> dict[str, Any]:
    """Return a message of its body."""
    return {"type": "websocket.http.response.body", "body": data, **more}


def denied(shared: Serve, library: str, *messages: dict[str, Any]) -> Answer:
    """Return the answer that an application makes of these messages."""
    steps = [["send", message] for message in messages]
    return refused(shared(APP, library), FIELDS, Script(CONNECT, *steps).target)


def test_E1_an_answer(shared: Serve, library: str) -> None:
    headers = [(b"www-authenticate", b"Basic"), (b"content-length", b"6"), (b"x-a", b"1"), (b"x-a", b"2")]
    answer = denied(shared, library, start(401, headers), body(b"denied"))
    assert (answer.status, answer.body, answer.framing) == (401, b"denied", "length")
    assert answer.get("www-authenticate") == "Basic" and answer.all("x-a") == ["1", "2"]
    assert not answer.all("sec-websocket-accept") and not answer.all("upgrade")


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500, 503])
def test_E1_any_status(shared: Serve, library: str, status: int) -> None:
    answer = denied(shared, library, start(status), body(b"denied"))
    assert (answer.status, answer.body) == (status, b"denied")


def test_E1_streamed(shared: Serve, library: str) -> None:
    pieces = [b"one, ", b"", b"two, ", b"x" * 1000, b"last"]
    messages = [body(piece, more_body=True) for piece in pieces]
    answer = denied(shared, library, start(403), *messages, body())
    assert answer.status == 403 and answer.body == b"".join(pieces) and answer.complete


def test_E1_pieces_are_sent_at_once(shared: Serve, library: str) -> None:
    """The first reaches the client while the application still waits for something, here for the client to go."""
    steps = [["send", start(403)], ["send", body(b"first piece", more_body=True)], ["note"]]
    script = Script(CONNECT, *steps)
    server = shared(APP, library)
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade(script.target)
        assert peer.until(b"first piece").startswith(b"HTTP/1.1 403 ")
    event = script.note(server)
    assert event["type"] == "websocket.disconnect" and event["code"] == 1006


def test_E1_fewest_keys(shared: Serve, library: str) -> None:
    messages = [
        {"type": "websocket.http.response.start", "status": 404},
        {"type": "websocket.http.response.body"},
    ]
    answer = denied(shared, library, *messages)
    assert (answer.status, answer.body) == (404, b"")


def test_E1_connection_is_closed_afterwards(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ["send", start(401)], ["send", body(b"no")], ["note"], ["note"])
    server = shared(APP, library)
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade(script.target)
        assert peer.answer().status == 401
        assert peer.closed()
    first, second = script.noted(server, 2)
    assert first == second and first["type"] == "websocket.disconnect"


AFTER: dict[str, dict[str, Any]] = {
    "accept": {"type": "websocket.accept"},
    "send": {"type": "websocket.send", "text": "a"},
}


@pytest.mark.parametrize("case", AFTER)
@pytest.mark.parametrize("when", ["after-the-start", "after-a-piece"])
def test_E1_no_other_message_afterwards(shared: Serve, library: str, case: str, when: str) -> None:
    """It raises, and the answer goes on as if it had not been sent."""
    steps: list[Any] = [["send", start(401)]]
    if when == "after-a-piece":
        steps.append(["send", body(b"no", more_body=True)])
    script = Script(CONNECT, *steps, ["try", AFTER[case]], ["send", body(b", never")])
    server = shared(APP, library)
    answer = refused(server, FIELDS, script.target)
    assert answer.status == 401 and answer.body.endswith(b", never") and answer.complete
    assert script.note(server) != "sent"


BAD: dict[str, dict[str, Any]] = {
    "no-status": {"type": "websocket.http.response.start"},
    "status-of-str": start("401"),  # type: ignore[arg-type]
    "status-too-small": start(99),
    "status-101": start(101),
    "header-of-str": start(401, [("x-a", b"b")]),
    "header-with-crlf": start(401, [(b"x-a", b"b\r\nx-evil: 1")]),
}


@pytest.mark.parametrize("case", BAD)
def test_E1_G4_bad_starts(shared: Serve, library: str, case: str) -> None:
    """They raise; a right answer is still possible."""
    script = Script(CONNECT, ["try", BAD[case]], ["send", start(418)], ["send", body(b"right")])
    server = shared(APP, library)
    answer = refused(server, FIELDS, script.target)
    assert (answer.status, answer.body) == (418, b"right") and not answer.all("x-evil")
    assert script.note(server) != "sent"


def test_E1_bad_body(shared: Serve, library: str) -> None:
    script = Script(
        CONNECT,
        ["send", start(403)],
        ["try", {"type": "websocket.http.response.body", "body": "text"}],
        ["send", body(b"right")],
    )
    server = shared(APP, library)
    answer = refused(server, FIELDS, script.target)
    assert (answer.status, answer.body) == (403, b"right")
    assert "TypeError" in script.note(server)


def test_E1_failure_within_the_answer(shared: Serve, library: str) -> None:
    """An answer that was begun is cut short; one that was not is a 500."""
    server = shared(APP, library)
    begun = Script(CONNECT, ["send", start(403)], ["send", body(b"half", more_body=True)], ["raise"])
    answer = refused(server, FIELDS, begun.target)
    assert answer.status == 403 and not answer.complete
    early = Script(CONNECT, ["send", start(403)], ["raise"])
    assert refused(server, FIELDS, early.target).status == 500


def test_E1_return_within_the_answer(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ["send", start(403)], ["send", body(b"half", more_body=True)])
    answer = refused(shared(APP, library), FIELDS, script.target)
    assert answer.status == 403 and not answer.complete


def test_E1_slow_reader_suspends_the_answer(shared: Serve, library: str) -> None:
    """A large body goes through a small window and arrives whole."""
    script = Script(CONNECT, ["send", start(403)], ["stream", 200, 50_000], ["send", body(b"end")], ["done"])
    server = shared(APP, library, "--limit-send-buffer", "4096")
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade(script.target)
        until(lambda: not peer.quiet(0.01), "the head")
        time.sleep(0.2)
        assert script.notes(server) == [], "it is suspended"
        answer = peer.answer()
    assert len(answer.body) == 200 * 50_000 + 3 and answer.complete
    assert script.note(server) == "done"


def test_access_log_lines(own: Serve, library: str) -> None:
    """As uvicorn's: accepted, refused, or the status of the answer."""
    server = own(APP, library)
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade("/echo?a=%20b")
        peer.opened()
        peer.leave()
    closed, answered = (
        Script(CONNECT, ["send", {"type": "websocket.close"}]),
        Script(CONNECT, ["send", start(401)], ["send", body(b"no")]),
    )
    for script in (closed, answered):
        refused(server, FIELDS, script.target)
    expected = [
        '"WebSocket /echo?a=%20b" [accepted]',
        f'"WebSocket {closed.target}" 403',
        f'"WebSocket {answered.target}" 401',
    ]
    until(lambda: len(targets_of(server.access())) >= len(expected), "the lines")
    assert targets_of(server.access()) == expected
    assert server.stop() == 0


def test_access_log_of_a_failure(own: Serve, library: str) -> None:
    server = own(APP, library)
    script = Script(CONNECT, ["raise"])
    refused(server, FIELDS, script.target)
    assert server.stop() == 0
    assert targets_of(server.access()) == [f'"WebSocket {script.target}" 500']


def test_no_access_log(own: Serve, library: str) -> None:
    server = own(APP, library, "--no-access-log")
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade()
        peer.opened()
        peer.leave()
    assert server.stop() == 0
    assert server.access() == ""
