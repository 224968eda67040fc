"""The opening handshake: RFC 6455 §4, and what the ASGI specification says of the scope and of websocket.accept."""

from __future__ import annotations

from typing import Any

import pytest
from harness import Field, Serve
from websocket_client import (
    ACCEPT,
    APP,
    BINARY,
    CONNECT,
    FIELDS,
    TEXT,
    Peer,
    Script,
    close_frame,
    frame,
    reach,
    refused,
    said,
)

NONE_TOO = True


def changed(**fields: str | None) -> list[Field]:
    """Return the fields of a handshake with some of them changed, or left out; ``_`` stands for ``-``."""
    changes = {name.replace("_", "-").lower(): value for name, value in fields.items()}
    found = [(name, changes.pop(name.lower(), value)) for name, value in FIELDS]
    return [(name, value) for name, value in [*found, *changes.items()] if value is not None]


BAD: dict[str, list[Field]] = {
    "no-key": changed(sec_websocket_key=None),
    "empty-key": changed(sec_websocket_key=""),
    "key-too-short": changed(sec_websocket_key="dGhlIHNhbXBsZSBub25j"),
    "key-too-long": changed(sec_websocket_key="dGhlIHNhbXBsZSBub25jZSEh"),
    "key-not-base64": changed(sec_websocket_key="!GhlIHNhbXBsZSBub25jZQ=="),
    "key-without-padding": changed(sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ"),
    "two-keys": [*FIELDS, ("Sec-WebSocket-Key", "AQIDBAUGBwgJCgsMDQ4PEA==")],
    "the-same-key-twice": [*FIELDS, FIELDS[-1]],
    "a-body": [*FIELDS, ("Content-Length", "5")],
    "a-chunked-body": [*FIELDS, ("Transfer-Encoding", "chunked")],
}


@pytest.mark.parametrize("case", BAD)
def test_400_for_a_bad_handshake(shared: Serve, library: str, case: str) -> None:
    server = shared(APP, library)
    assert refused(server, BAD[case], f"/bad-{case}").status == 400
    assert f"/bad-{case}" not in server.get("/seen")


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS"])
def test_400_for_another_method(shared: Serve, library: str, method: str) -> None:
    server = shared(APP, library)
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade(f"/method-{method}", method=method)
        assert peer.answer(head=method == "HEAD").status == 400
        assert peer.closed()
    assert f"/method-{method}" not in server.get("/seen")


@pytest.mark.parametrize("version", ["12", "8", "0", "14", "", "thirteen", "13, 8", "013", None])
def test_426_for_another_version(shared: Serve, library: str, version: str | None) -> None:
    """It says which version would do (RFC 6455 §4.4)."""
    server = shared(APP, library)
    answer = refused(server, changed(sec_websocket_version=version), "/version")
    assert answer.status in ({400, 426} if version in {None, "", "thirteen", "13, 8", "013"} else {426})
    if answer.status == 426:
        assert answer.get("sec-websocket-version") == "13"
        assert (answer.get("upgrade") or "").lower() == "websocket", "RFC 9110 §15.5.22 asks for it"
    assert "/version" not in server.get("/seen")


WELL: dict[str, list[Field]] = {
    "in-capitals": changed(upgrade="WEBSOCKET", connection="UPGRADE"),
    "among-others": changed(upgrade="h2c, websocket", connection="keep-alive, Upgrade"),
    "in-two-fields": [("Connection", "keep-alive"), ("Upgrade", "foo/2"), *FIELDS],
    "with-an-empty-body": [*FIELDS, ("Content-Length", "0")],
    "with-an-origin": [*FIELDS, ("Origin", "http://elsewhere.example")],
    "with-unknown-extensions": [
        *FIELDS,
        ("Sec-WebSocket-Extensions", "x-webkit-deflate-frame, bbf-usp; a=1"),
    ],
}


@pytest.mark.parametrize("case", WELL)
def test_101_for_a_good_handshake(shared: Serve, library: str, case: str) -> None:
    with Peer(shared(APP, library).connect().socket) as peer:
        peer.ask_upgrade(fields=WELL[case])
        assert peer.opened().all("sec-websocket-extensions") == []
        peer.text("hello")
        assert peer.message() == "hello"
        assert peer.leave() == (1000, "")


PLAIN: dict[str, list[Field]] = {
    "no-upgrade": changed(upgrade=None),
    "no-connection": changed(connection=None),
    "another-connection": changed(connection="keep-alive"),
    "another-upgrade": changed(upgrade="h2c"),
}


@pytest.mark.parametrize("case", PLAIN)
def test_what_asks_for_no_websocket_is_plain_http(shared: Serve, library: str, case: str) -> None:
    assert refused(shared(APP, library), PLAIN[case], "/asked").json()[:2] == ["http", "GET"]


def test_with_none_the_upgrade_is_ignored(shared: Serve, library: str) -> None:
    """The request is one of HTTP, and so is the next one on the same connection; its fields are shown."""
    server = shared(APP, library, "--ws", "none")
    with Peer(server.connect().socket) as peer:
        for _ in range(2):
            peer.ask_upgrade("/asked")
            kind, method, fields = peer.answer().json()
            assert (kind, method) == ("http", "GET") and "sec-websocket-key" in fields
    assert server.get("/seen") == []


def test_handshake_after_requests_of_the_same_connection(shared: Serve, library: str) -> None:
    with Peer(shared(APP, library).connect().socket) as peer:
        peer.request(target="/asked")
        assert peer.answer().json()[0] == "http"
        peer.request(target="/asked")
        peer.ask_upgrade(behind=frame(TEXT, b"pipelined"))
        assert peer.answer().json()[0] == "http"
        peer.opened()
        assert peer.message() == "pipelined"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 10_000])
def test_data_sent_with_the_handshake_is_not_lost(shared: Serve, library: str, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    with reach(shared(APP, library), behind=frame(BINARY, data) + frame(TEXT, b"second")) as peer:
        assert peer.message() == data
        assert peer.message() == "second"


def test_close_sent_with_the_handshake(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ACCEPT, ["drain"])
    server = shared(APP, library)
    behind = frame(TEXT, b"first") + close_frame(3001, "early")
    with reach(server, script.target, behind=behind) as peer:
        assert peer.closing() == (3001, "early") and peer.closed()
    assert [note["type"] for note in script.noted(server, 2)] == ["websocket.receive", "websocket.disconnect"]


def test_handshake_byte_by_byte(shared: Serve, library: str) -> None:
    lines = ["GET /echo HTTP/1.1", "Host: a", *(f"{name}: {value}" for name, value in FIELDS), "", ""]
    with Peer(shared(APP, library).connect().socket) as peer:
        for byte in "\r\n".join(lines).encode() + frame(TEXT, "schön".encode()):
            peer.send(bytes([byte]))
        peer.opened()
        assert peer.message() == "schön"


def scope_of(shared: Serve, library: str, target: str = "", fields: list[Field] | None = None) -> Any:
    """Return the scope of a handshake; ``target`` follows the query."""
    script = Script(CONNECT, ["note-scope"], ACCEPT)
    server = shared(APP, library)
    with reach(server, script.target + target, fields or []) as peer:
        assert peer.failed() == 1000
    return script.note(server)


def test_W3_scope(shared: Serve, library: str) -> None:
    scope = scope_of(shared, library, "&more=%C3%B6")
    assert scope["type"] == "websocket" and scope["scheme"] == "ws" and scope["http_version"] == "1.1"
    assert scope["path"] == "/script" and scope["raw_path"] == b"/script" and scope["root_path"] == ""
    assert scope["query_string"].endswith(b"&more=%C3%B6")
    assert "method" not in scope
    assert scope["client"][0] == scope["server"][0] == "127.0.0.1"
    assert all(type(address[1]) is int for address in (scope["client"], scope["server"]))


def test_G1_versions(shared: Serve, library: str) -> None:
    """The OSError of send() is of version 2.4, the reason of the disconnect of 2.5."""
    asgi = scope_of(shared, library)["asgi"]
    assert asgi["version"] == "3.0" and asgi["spec_version"] in {"2.4", "2.5"}


def test_E1_G9_extension_is_offered(shared: Serve, library: str) -> None:
    extensions = scope_of(shared, library)["extensions"]
    assert extensions["websocket.http.response"] == {}
    assert not [name for name in extensions if name.startswith("http.response")]


def test_W3_H8_fields_keep_order_and_duplicates(shared: Serve, library: str) -> None:
    sent = [("X-B", "1"), ("x-a", "2"), ("X-B", "3"), ("Cookie", "a=b")]
    found = scope_of(shared, library, fields=sent)["headers"]
    assert [pair for pair in found if pair[0].startswith((b"x-", b"coo"))] == [
        [name.lower().encode(), value.encode()] for name, value in sent
    ]
    assert [b"upgrade", b"websocket"] in found and [b"host", b"test.example"] in found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        (["chat"], ["chat"]),
        (["chat, superchat"], ["chat", "superchat"]),
        (["b ,a", "c"], ["b", "a", "c"]),
        (["a,,b,"], ["a", "b"]),
    ],
)
def test_W3_subprotocols(shared: Serve, library: str, values: list[str], expected: list[str]) -> None:
    fields = [("Sec-WebSocket-Protocol", value) for value in values]
    assert scope_of(shared, library, fields=fields)["subprotocols"] == expected


def test_W4_connect_comes_first_and_nothing_before_accept(shared: Serve, library: str) -> None:
    """The handshake is open meanwhile: no byte is sent, no message is shown."""
    script = Script(["note"], ["take"])
    server = shared(APP, library)
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade(script.target, behind=frame(TEXT, b"too early"))
        assert script.note(server) == {"type": "websocket.connect"}
        assert peer.quiet(0.3)
        assert len(script.notes(server)) == 1


def test_W5_accept_with_a_subprotocol(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ["send", {"type": "websocket.accept", "subprotocol": "b"}], ["echo"])
    with reach(shared(APP, library), script.target, [("Sec-WebSocket-Protocol", "a, b")]) as peer:
        assert peer.answered is not None and peer.answered.get("sec-websocket-protocol") == "b"


@pytest.mark.parametrize("message", [{}, {"subprotocol": None}, {"subprotocol": None, "headers": []}])
def test_W5_accept_without_a_subprotocol(shared: Serve, library: str, message: dict[str, Any]) -> None:
    script = Script(CONNECT, ["send", {"type": "websocket.accept", **message}], ["echo"])
    with reach(shared(APP, library), script.target, [("Sec-WebSocket-Protocol", "a, b")]) as peer:
        assert peer.answered is not None and peer.answered.get("sec-websocket-protocol") is None


def test_W5_accept_with_fields(shared: Serve, library: str) -> None:
    headers = [
        (b"x-b", b"1"),
        (b"set-cookie", b"a=b"),
        (b"x-a", b"2"),
        (b"set-cookie", b"c=d"),
        (b"x-b", b""),
    ]
    script = Script(CONNECT, ["send", {"type": "websocket.accept", "headers": headers}], ["echo"])
    with reach(shared(APP, library), script.target) as peer:
        assert peer.answered is not None
        found = [(name.lower(), value) for name, value in peer.answered.fields]
        mine = [pair for pair in found if pair[0] in {"x-a", "x-b", "set-cookie"}]
        assert mine == [(name.decode(), value.decode()) for name, value in headers]
        peer.text("x")
        assert peer.message() == "x"


BAD_ACCEPTS: dict[str, dict[str, Any]] = {
    "protocol-among-the-fields": {"headers": [(b"Sec-WebSocket-Protocol", b"a")]},
    "pseudo-field": {"headers": [(b":status", b"101")]},
    "name-of-str": {"headers": [("x-a", b"b")]},
    "value-of-str": {"headers": [(b"x-a", "b")]},
    "value-with-crlf": {"headers": [(b"x-a", b"b\r\nx-evil: 1")]},
    "name-with-a-space": {"headers": [(b"x a", b"b")]},
    "headers-of-int": {"headers": 5},
    "subprotocol-of-bytes": {"subprotocol": b"a"},
    "subprotocol-of-int": {"subprotocol": 5},
    "subprotocol-with-crlf": {"subprotocol": "a\r\nx-evil: 1"},
}


@pytest.mark.parametrize("case", BAD_ACCEPTS)
def test_G4_W5_bad_accept_is_refused_and_a_good_one_still_possible(
    shared: Serve, library: str, case: str
) -> None:
    script = Script(CONNECT, ["try", {"type": "websocket.accept", **BAD_ACCEPTS[case]}], ACCEPT, ["echo"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        assert {"ValueError", "TypeError"} & set(script.note(server))
        assert peer.answered is not None and not peer.answered.all("x-evil")
        peer.text("still")
        assert peer.message() == "still"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send", "text": "too early"},
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "websocket.begin"},
        {"type": "websocket.http.response.body", "body": b"without a start"},
    ],
    ids=["send", "http", "unknown", "body"],
)
def test_G4_W4_wrong_messages_before_accept(shared: Serve, library: str, message: dict[str, Any]) -> None:
    script = Script(CONNECT, ["try", message], ["done"])
    server = shared(APP, library)
    assert refused(server, FIELDS, script.target).status == 500
    raised, last = script.noted(server, 2)
    assert raised != "sent" and last == "done"


def test_W5_second_accept_is_refused(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ACCEPT, ["try", {"type": "websocket.accept"}], ["echo"])
    server = shared(APP, library)
    with reach(server, script.target) as peer:
        assert "RuntimeError" in script.note(server)
        peer.text("still")
        assert peer.message() == "still"


def test_handshake_timeout(shared: Serve, library: str) -> None:
    """An application that does not decide is not waited for; it is told that it is too late."""
    script = Script(CONNECT, ["note"], ["try", {"type": "websocket.accept"}])
    server = shared(APP, library, "--ws-handshake-timeout", "0.3")
    assert refused(server, FIELDS, script.target).status == 504
    told, raised = script.noted(server, 2)
    assert told["type"] == "websocket.disconnect" and told["code"] == 1006
    assert "OSError" in raised


def test_client_that_goes_during_the_handshake(shared: Serve, library: str) -> None:
    script = Script(CONNECT, ["note"], ["note"], ["try", {"type": "websocket.accept"}])
    server = shared(APP, library)
    with Peer(server.connect().socket) as peer:
        peer.ask_upgrade(script.target)
        peer.reset()
        first, second, raised = script.noted(server, 3)
    assert first == second and first["type"] == "websocket.disconnect" and first["code"] == 1006
    assert "OSError" in raised


def test_W6_first_event_after_accept_without_receive(shared: Serve, library: str) -> None:
    """An application may accept before it asks for the first event; that is still the first it gets."""
    script = Script(ACCEPT, ["note"], ["note"], ["echo"])
    server = shared(APP, library)
    with reach(server, script.target, behind=frame(TEXT, b"hello")):
        assert script.noted(server, 2) == [{"type": "websocket.connect"}, said("hello")]
