"""What a WebSocket's messages may not be, and what the core's constructor takes for WebSockets."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest
from core_bench import Bench, Library, make_server

from tricorn import _core

REQUEST = (
    b"GET /%b HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ACCEPT = {"type": "websocket.accept"}


class Fault:
    """Hashes like a string, and fails when it is compared."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        raise LookupError(self.name)


def with_fault(type_: str, name: str, **more: Any) -> dict[Any, Any]:
    """Return a message in which that key cannot be looked up."""
    return {Fault(name): None, "type": type_, **more}


WRONG_BEFORE: list[tuple[Any, type[BaseException]]] = [
    ({"type": "websocket.send", "text": "early"}, RuntimeError),
    ({"type": "websocket.accept", "subprotocol": 1}, TypeError),
    ({"type": "websocket.accept", "subprotocol": "\u20ac"}, UnicodeEncodeError),
    ({"type": "websocket.accept", "subprotocol": "a\nb"}, ValueError),
    ({"type": "websocket.accept", "headers": 1}, TypeError),
    ({"type": "websocket.accept", "headers": [(b"a",)]}, ValueError),
    ({"type": "websocket.accept", "headers": [("a", b"b")]}, TypeError),
    ({"type": "websocket.accept", "headers": [(b"Sec-WebSocket-Protocol", b"a")]}, ValueError),
    ({"type": "websocket.close", "code": "1000"}, TypeError),
    ({"type": "websocket.close", "code": 1 << 80}, ValueError),
    ({"type": "websocket.close", "code": -1}, ValueError),
    ({"type": "websocket.close", "code": 1005}, ValueError),
    ({"type": "websocket.close", "reason": b"bytes"}, TypeError),
    ({"type": "websocket.close", "reason": "\ud800"}, UnicodeEncodeError),
    ({"type": "websocket.close", "reason": "a" * 124}, ValueError),
    ({"type": "http.response.start", "status": 200}, ValueError),
    ({"type": 5}, TypeError),
    ({}, KeyError),
    (with_fault("websocket.accept", "subprotocol"), LookupError),
    (with_fault("websocket.accept", "headers"), LookupError),
    (with_fault("websocket.close", "code"), LookupError),
    (with_fault("websocket.close", "reason"), LookupError),
]
WRONG_AFTER: list[tuple[Any, type[BaseException]]] = [
    ({"type": "websocket.accept"}, RuntimeError),
    ({"type": "websocket.http.response.start", "status": 200}, RuntimeError),
    ({"type": "websocket.send"}, ValueError),
    ({"type": "websocket.send", "text": "a", "bytes": b"a"}, ValueError),
    ({"type": "websocket.send", "text": b"a"}, TypeError),
    ({"type": "websocket.send", "text": "\ud800"}, UnicodeEncodeError),
    ({"type": "websocket.send", "bytes": "a"}, TypeError),
    (with_fault("websocket.send", "text"), LookupError),
    (with_fault("websocket.send", "bytes"), LookupError),
]


def serve(app: Any, path: bytes = b"") -> Bench:
    """Have a WebSocket asked for, and step its application to where it waits or ends."""
    at = Bench(app, websockets={})
    runner = at.server.runner()
    runner.send(None)
    at.client.sendall(REQUEST % path)
    for _ in range(4):
        try:
            runner.send(None)
        except StopIteration:
            break
    return at


def test_wrong_messages_raise_out_of_send_and_change_nothing() -> None:
    told: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message, error in WRONG_BEFORE:
            with pytest.raises(error):
                await send(message)
        await send(ACCEPT)
        for message, error in WRONG_AFTER:
            with pytest.raises(error):
                await send(message)
        await send({"type": "websocket.send", "text": "well"})
        await send({"type": "websocket.close"})
        await send({"type": "websocket.close"})
        with pytest.raises(_core.ClientDisconnected):
            await send({"type": "websocket.send", "text": "late"})
        told.append("all")

    at = serve(app)
    assert told == ["all"] and at.library.errors == []
    at.server.close()


def test_wrong_broadcasts_raise() -> None:
    told: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in ({}, {"text": "a", "bytes": b"b"}, {"text": 5}):
            with pytest.raises((TypeError, ValueError)):
                _core.broadcast([send], message)
        with pytest.raises(TypeError):
            _core.broadcast(5, {"text": "a"})  # type: ignore[arg-type]
        assert _core.broadcast([send], {"text": "a"}) == ([send], [], None)  # not accepted yet
        await send(ACCEPT)
        assert _core.broadcast([send, len], {"text": "a"}) == ([], [len], None)  # type: ignore[list-item]
        told.append("all")

    at = serve(app)
    assert told == ["all"] and at.library.errors == []
    at.server.close()


@pytest.mark.parametrize("given", [5, [], {"level": "high"}, {"window_bits": 1 << 80}])
def test_the_settings_are_numbers(given: Any) -> None:
    with pytest.raises((TypeError, OverflowError)):
        make_server(lambda: None, Library(), websockets=given)


@pytest.mark.parametrize("scheme", ["https", "http", 5])
def test_the_scheme_follows_that_of_requests(scheme: Any) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["scheme"])

    scope = {"type": "http", "http_version": "1.1", "scheme": scheme, "root_path": "", "server": None}
    at = Bench(app, websockets={}, scope=scope)
    runner = at.server.runner()
    runner.send(None)
    at.client.sendall(REQUEST % b"")
    runner.send(None)
    assert seen == ["wss" if scheme == "https" else "ws"]
    runner.close()
    at.server.close()


def test_the_collector_sees_what_a_server_holds() -> None:
    """Else a server in a cycle with its application would never go."""

    def made(name: str) -> Any:
        return type(name, (), {"__call__": lambda self, *_: None})

    names = ("app", "on_error", "on_refusal", "access_log")
    calls = {name: made(name)() for name in names}
    reading = {name: made(name) for name in ("make", "on_error", "head", "body", "end", "reject", "answer")}
    framing = {name: made(name) for name in ("make", "on_error", "message", "ping", "pong", "close", "fail")}
    server = make_server(
        calls.pop("app"),
        Library(),
        websockets={},
        parser=SimpleNamespace(**reading),
        ws_protocol=SimpleNamespace(**framing),
        **calls,
    )
    for held in (*calls.values(), *reading.values(), *framing.values()):
        assert any(referrer is server for referrer in gc.get_referrers(held)), held
