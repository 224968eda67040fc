"""Classes of frames that do what such a class must not do, each in its own way; ``Fair`` does nothing wrong."""

from __future__ import annotations

import gc
from typing import Any

from tricorn.protocols.websocket import Close, Fail, Message, Ping, Settings
from tricorn.protocols.ws_wsproto import Frames as Fair


class Odd(Fair):
    """Gives some events for any bytes."""

    events: tuple[Any, ...] = ()

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._odd: list[Any] = []

    def recv(self, data: bytes) -> Any:
        self._odd.extend(self.events)

    def next_event(self) -> Any:
        return self._odd.pop(0) if self._odd else None


class FailsToBeMade(Odd):
    def __init__(self, settings: Settings) -> None:
        raise ValueError("odd")


class FailsToRecv(Odd):
    def recv(self, data: bytes) -> Any:
        raise ValueError("odd")


class RecvTellsANumber(Odd):
    def recv(self, data: bytes) -> Any:
        return len(data)


class FailsToTell(Odd):
    def next_event(self) -> Any:
        raise ValueError("odd")


class GivesText(Odd):
    events = ("message",)


class GivesABareMessage(Odd):
    class Message(Message):
        """Not the class itself."""

    events = (Message("a"),)


class GivesANumber(Odd):
    events = (Message(5),)  # type: ignore[arg-type]


class GivesHalfACharacter(Odd):
    events = (Message("\ud800"),)


class GivesTextInAPing(Odd):
    events = (Ping("a"),)  # type: ignore[arg-type]


class GivesALongPing(Odd):
    events = (Ping(b"a" * 126),)


class GivesNoPayload(Odd):
    events = (Ping(None),)  # type: ignore[arg-type]


class ClosesWithBytes(Odd):
    events = (Close(1000, b"why"),)  # type: ignore[arg-type]


class ClosesAtLength(Odd):
    events = (Close(1000, "é" * 62),)


class ClosesWithAWord(Odd):
    events = (Close("normal", ""),)  # type: ignore[arg-type]


class ClosesOddly(Odd):
    events = (Close(1006, ""),)


class FailsOddly(Odd):
    events = (Fail(200),)


class FailsWithoutACode(Odd):
    events = (Fail(1005),)


class NeverEnds(Odd):
    def next_event(self) -> Any:
        return Message("a")


class GivesTooMuch(Odd):
    events = (Message(b"a" * 5000),)


class Refuses(Odd):
    events = (Message("before"), Fail(1008), Message("after"))


class Closes(Odd):
    events = (Close(4000, "é" * 61), Message("after"))


class NegotiatesBytes(Fair):
    def negotiate(self, offers: str) -> Any:
        return b"permessage-deflate"


class NegotiatesLines(Fair):
    def negotiate(self, offers: str) -> Any:
        return "a\r\nSet-Cookie: b"


class NegotiatesAtLength(Fair):
    def negotiate(self, offers: str) -> Any:
        return "a" * 257


class FailsToNegotiate(Fair):
    def negotiate(self, offers: str) -> Any:
        raise ValueError("odd")


class FailsToSend(Fair):
    def submit_message(self, data: str | bytes) -> Any:
        raise ValueError("odd")


class SendsText(Fair):
    def submit_message(self, data: str | bytes) -> Any:
        return "text"


class FailsToPing(Fair):
    def submit_ping(self, payload: bytes) -> Any:
        raise ValueError("odd")


class FailsToPong(Fair):
    def submit_pong(self, payload: bytes) -> Any:
        raise ValueError("odd")


class FailsToClose(Fair):
    def submit_close(self, code: int, reason: str) -> Any:
        raise ValueError("odd")


class ClosesWithText(Fair):
    def submit_close(self, code: int, reason: str) -> Any:
        return "text"


class IsInterrupted(Fair):
    def recv(self, data: bytes) -> Any:
        raise KeyboardInterrupt


HEADERS: list[list[bytes]] = []
INSTEAD: list[bytes] = []


def clear_headers() -> list[bytes]:
    """Have the headers go, and their memory used for what is returned."""
    for pair in HEADERS:
        pair.clear()
    HEADERS.clear()
    return [b"%050d" % 0 for _ in range(1000)]


class ChangesHeaders(Fair):
    """Has the headers of an application go that is about to send them, and their memory used for something else."""

    def negotiate(self, offers: str) -> Any:
        self._instead = clear_headers()
        return super().negotiate(offers)


async def keep_headers(scope: Any, receive: Any, send: Any) -> None:
    """Accept with headers that nobody else keeps."""
    HEADERS[:] = [[b"x-%d" % number, b"%050d" % number] for number in range(1, 9)]
    await receive()
    await send({"type": "websocket.accept", "headers": HEADERS})
    await receive()


class ClearsHeaders:
    """Garbage that has the headers go when it is collected."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        INSTEAD[:] = clear_headers()


async def collect_headers(scope: Any, receive: Any, send: Any) -> None:
    """Have garbage collected while headers are read, at one of many moments; raising is as good as sending them."""
    if scope["type"] == "websocket":
        await receive()
    begin = "websocket.accept" if scope["type"] == "websocket" else "http.response.start"
    HEADERS[:] = [[b"x-%d" % number, b"%050d" % number] for number in range(int(scope["query_string"]))]
    message = {"type": begin, "status": 200, "headers": HEADERS}
    gc.disable()
    kept = [
        (number, [number]) for number in range(3000)
    ]  # so that none is made of what is kept of those before
    ClearsHeaders()
    usual = gc.get_threshold()
    gc.set_threshold(gc.get_count()[0] + 1 + int(scope["path"][1:]))
    gc.enable()
    try:
        await send(message)
    finally:
        gc.set_threshold(*usual)
        kept.clear()
    if scope["type"] == "http":
        await send({"type": "http.response.body"})
    else:
        await receive()


class LacksAMethod:
    """Has none of them."""


PLAIN = 5
