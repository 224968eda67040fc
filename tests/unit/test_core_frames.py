"""Frames made in Python, whose code ends the connection, or uses the WebSocket, from within each of its calls."""

from __future__ import annotations

import contextlib
import gc
import struct
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from core_bench import Bench, Library, make_server

from tricorn import _core
from tricorn.protocols.websocket import Binding, Close, Message, Ping

METHODS = (
    "__init__",
    "negotiate",
    "recv",
    "next_event",
    "submit_message",
    "submit_pong",
    "submit_ping",
    "submit_close",
)
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: some\r\n\r\n"
)
LIMITS = {"ws_ping_ms": 1, "ws_pong_ms": 1000}


class Frames:
    """Frames of at most 125 bytes that the client masks with zeros; before each call something is done."""

    within: Callable[[str], None] = staticmethod(lambda method: None)

    def __init__(self) -> None:
        self.data = b""
        self.within("__init__")

    def negotiate(self, offers: str) -> str | None:
        """Agree."""
        self.within("negotiate")
        return "some"

    def recv(self, data: bytes) -> None:
        """Keep the bytes."""
        self.within("recv")
        self.data += data

    def next_event(self) -> Any:
        """Take a frame."""
        self.within("next_event")
        if not self.data:
            return None
        end = 6 + (self.data[1] & 0x7F)
        opcode, payload, self.data = self.data[0] & 15, self.data[6:end], self.data[end:]
        if opcode == 8:
            return Close(struct.unpack("!H", payload[:2])[0], payload[2:].decode())
        return Ping(payload) if opcode == 9 else Message(payload.decode())

    def submit_message(self, data: str | bytes) -> bytes:
        """Send a text."""
        self.within("submit_message")
        assert isinstance(data, str)
        return bytes([0x81, len(data)]) + data.encode()

    def submit_ping(self, payload: bytes) -> bytes:
        """Send a ping."""
        self.within("submit_ping")
        return bytes([0x89, len(payload)]) + payload

    def submit_pong(self, payload: bytes) -> bytes:
        """Send a pong."""
        self.within("submit_pong")
        return bytes([0x8A, len(payload)]) + payload

    def submit_close(self, code: int, reason: str) -> bytes:
        """Send a close frame."""
        self.within("submit_close")
        return bytes([0x88, 2 + len(reason)]) + struct.pack("!H", code) + reason.encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a frame of the client's."""
    return bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


class Socket:
    """A WebSocket at work: its application takes what comes and sends it back."""

    def __init__(self, within: Callable[[Socket, str], None]) -> None:
        self.calls: list[str] = []
        self.faults: list[BaseException] = []
        self.events: list[str] = []
        self.active = True

        class Mine(Frames):
            def within(_, method: str) -> None:  # type: ignore[override]
                self.calls.append(method)
                if self.active:
                    within(self, method)

        binding = Binding(Mine, self.faults.append)  # type: ignore[arg-type]
        self.at = Bench(self.app, websockets={}, ws_protocol=binding, limits=LIMITS)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Echo, and close after the third message."""
        self.receive, self.send = receive, send
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(3):
            event = await receive()
            self.events.append(event["type"])
            if event["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": event["text"]})
        await send({"type": "websocket.close", "code": 3000})

    def serve(self) -> None:
        """Send all that there is to send, and step until nothing more happens."""
        runners = [self.at.server.runner()]
        for data in (
            REQUEST,
            frame(1, b"a") + frame(9, b"p") + frame(1, b"b"),
            frame(1, b"c"),
            frame(8, b"\x0b\xb8"),
        ):
            with contextlib.suppress(OSError):  # it may have ended
                self.at.client.sendall(data)
            for _ in range(8):
                time.sleep(0.002)  # a ping is due
                for runner in list(runners):
                    try:
                        runner.send(None)
                    except StopIteration:
                        runners.remove(runner)
                while self.at.library.spawned:
                    self.at.library.spawned -= 1
                    runners.append(self.at.server.runner())
                if not runners:
                    runners.append(self.at.server.runner())
        for runner in runners:
            runner.close()

    def close(self) -> None:
        """Give everything back."""
        self.active = False
        self.at.client.close()
        self.at.server.close()


def close_server(at: Socket, method: str) -> None:
    """End every connection."""
    at.at.server.close()


def test_the_calls_that_are_made() -> None:
    """Each of them is, so that the tests below are about something."""
    at = Socket(lambda at, method: None)
    at.serve()
    assert set(at.calls) == set(METHODS)
    assert at.events == ["websocket.receive"] * 3 and at.faults == []
    received = at.at.client.recv(65536).partition(b"\r\n\r\n")[2]
    for sent in (b"\x81\x01a", b"\x8a\x01p", b"\x81\x01b", b"\x81\x01c", b"\x89\x00", b"\x88\x02\x0b\xb8"):
        assert sent in received
    at.close()


@pytest.mark.parametrize("raises", [False, True], ids=["ends", "ends-and-fails"])
@pytest.mark.parametrize("method", METHODS)
def test_a_connection_that_its_frames_end(method: str, raises: bool) -> None:
    """The application is told; the exception is, too."""

    def within(at: Socket, called: str) -> None:
        if called == method:
            at.at.server.close()
            if raises:
                raise ValueError("odd")

    at = Socket(within)
    at.serve()
    assert method in at.calls
    assert [str(fault) for fault in at.faults if isinstance(fault, ValueError)] == ["odd"] * raises
    at.close()


@pytest.mark.parametrize("deed", ["send", "close", "receive"])
@pytest.mark.parametrize("method", METHODS)
def test_a_websocket_that_its_frames_use(method: str, deed: str) -> None:
    """It is for the application alone; but whatever comes of it, the server lives."""
    depth = 0

    def within(at: Socket, called: str) -> None:
        nonlocal depth
        if called != method or depth > 2 or not hasattr(at, "send"):
            return
        depth += 1
        message = {"send": {"type": "websocket.send", "text": "x"}, "close": {"type": "websocket.close"}}
        try:
            awaited = at.receive() if deed == "receive" else at.send(message[deed])
            awaited.__await__().send(None)
        except (StopIteration, OSError, RuntimeError):
            pass

    at = Socket(within)
    at.serve()
    assert method in at.calls and depth > 0
    assert at.faults == []
    at.close()


@pytest.mark.parametrize("deed", [{"type": "websocket.accept"}, {"type": "websocket.close"}])
def test_a_handshake_that_is_answered_while_it_is_answered(deed: dict[str, str]) -> None:
    """By the frames' own code; the client gets one answer."""

    def within(at: Socket, called: str) -> None:
        if called == "negotiate" and at.calls.count("negotiate") == 1:
            with pytest.raises(StopIteration):
                at.send(deed).__await__().send(None)

    at = Socket(within)
    at.serve()
    assert at.at.client.recv(65536).count(b"HTTP/1.1") == 1
    at.close()


def test_a_connection_that_its_frames_end_as_they_go_away(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []

    def close(_: Frames) -> None:
        if not ended:
            ended.append(True)
            at.at.server.close()

    monkeypatch.setattr(Frames, "__del__", close, raising=False)
    at = Socket(lambda at, method: None)
    at.serve()
    assert ended
    at.close()


def test_an_error_of_the_log_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """As nobody else is left to tell."""

    class Fails(Frames):
        def recv(self, data: bytes) -> None:
            raise ValueError("odd")

    def on_error(error: BaseException) -> None:
        raise LookupError("no log")

    told: list[Any] = []
    at = Socket(lambda at, method: None)
    at.at.client.close()
    at.at = Bench(at.app, websockets={}, ws_protocol=Binding(Fails, on_error), limits={})  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", told.append)
        at.serve()
    assert [str(one.exc_value) for one in told] == ["no log"]
    at.close()


@pytest.mark.parametrize("missing", ["make", "message", "ping", "pong", "close", "fail", "on_error"])
def test_a_binding_that_lacks_something(missing: str) -> None:
    binding = Binding(Frames, print)  # type: ignore[arg-type]

    class Partial:
        def __getattr__(self, name: str) -> Any:
            if name == missing:
                raise AttributeError(name)
            return getattr(binding, name)

    with pytest.raises(AttributeError, match=missing):
        make_server(None, Library(), websockets={}, ws_protocol=Partial())


def test_a_server_in_a_cycle_with_its_frames_is_collected() -> None:
    """What makes them may hold the server that holds it."""

    class App:
        server: _core.Server

        def make(self) -> Frames:
            return Frames()

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()

    app = App()
    app.server = make_server(app, Library(), websockets={}, ws_protocol=Binding(app.make, print))  # type: ignore[arg-type]
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None
