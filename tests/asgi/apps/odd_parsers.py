"""Parsers that do what a parser must not do, each in its own way; and an application for them."""

from __future__ import annotations

from collections import deque
from typing import Any

from kit import Exchange, application

from tricorn.protocols import Answer, Body, End, Event, Head, Limits, Reject
from tricorn.protocols.h11 import Parser as Reader

HEAD = Head(b"GET", b"/", [(b"host", b"a")])
POST = Head(b"POST", b"/", [(b"host", b"a"), (b"content-length", b"2")])


async def hello(exchange: Exchange) -> None:
    await exchange.answer(b"hello " + await exchange.body())


app = application({"/": hello})


class Odd:
    """Gives some events for any bytes."""

    events: tuple[Any, ...] = ()

    def __init__(self, limits: Limits) -> None:
        self._events: deque[Any] = deque()

    def recv(self, data: bytes) -> Any:
        self._events.extend(self.events)

    def next_event(self) -> Event | None:
        return self._events.popleft() if self._events else None


class Fair(Odd):
    events = (HEAD, End())


class FailsToBeMade(Odd):
    def __init__(self, limits: Limits) -> None:
        raise ValueError("odd")


class FailsToRecv(Odd):
    def recv(self, data: bytes) -> Any:
        raise ValueError("odd")


class FailsToTell(Odd):
    def next_event(self) -> Event | None:
        raise ValueError("odd")


class FailsToSayAhead(Odd):
    events = (HEAD, End())

    @property
    def ahead(self) -> bool:
        raise ValueError("odd")


class TakesNothing(Odd):
    def recv(self, data: bytes) -> Any:
        return 0


class TakesTooMuch(Odd):
    def recv(self, data: bytes) -> Any:
        return len(data) + 1


class TakesText(Odd):
    def recv(self, data: bytes) -> Any:
        return "all of it"


class GivesText(Odd):
    events = ("head",)


class GivesTextInAHead(Odd):
    events = (Head("GET", b"/", []),)  # type: ignore[arg-type]


class GivesNoPairs(Odd):
    events = (Head(b"GET", b"/", [b"host: a"]),)  # type: ignore[list-item]


class GivesNoFields(Odd):
    events = (Head(b"GET", b"/", None),)  # type: ignore[arg-type]


class GivesTextAsBody(Odd):
    events = (POST, Body("no"))  # type: ignore[arg-type]


class GivesAnEndAlone(Odd):
    events = (End(),)


class RefusesOddly(Odd):
    events = (Reject(200),)


class RefusesInWords(Odd):
    events = (Reject("no"),)  # type: ignore[arg-type]


class GivesAHeadInABody(Odd):
    events = (POST, HEAD)


class Refuses(Odd):
    events = (Reject(418),)


class SplitsAHead(Odd):
    events = (Head(b"GET", b"/", [(b"host", b"a"), (b"b", b"c\r\n\r\nGET /smuggled HTTP/1.1")]), End())


class GivesLongBody(Odd):
    events = (POST, Body(b"abc"))


class GivesShortBody(Odd):
    events = (POST, Body(b"a"), End())


class GivesBodyForNone(Odd):
    events = (HEAD, Body(b"abc"), End())


class Writes(Fair):
    """Writes answers, badly."""

    def submit_continue(self) -> None: ...

    def submit_head(self, head: Answer) -> None: ...

    def submit_body(self, data: bytes, end: bool) -> None: ...

    def send(self) -> Any:
        return b""


class WritesHeads(Reader):
    """Writes heads as they should be, of answers without a body."""

    def submit_continue(self) -> None: ...

    def submit_body(self, data: bytes, end: bool) -> None: ...

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._out = b""

    def submit_head(self, head: Answer) -> None:
        lines = [b"%s: %s" % field for field in head.fields if field[0] != b"content-length"]
        self._out += b"\r\n".join([b"HTTP/1.1 %d Fine" % head.status, b"content-length: 0", *lines, b"", b""])

    def send(self) -> bytes:
        out, self._out = self._out, b""
        return out


class WritesText(Writes):
    def send(self) -> Any:
        return "text"


class FailsToWrite(Writes):
    def submit_body(self, data: bytes, end: bool) -> None:
        raise ValueError("odd")


class FailsToBegin(Writes):
    def submit_head(self, head: Answer) -> None:
        raise ValueError("odd")


EXPECT = Head(b"POST", b"/", [(b"host", b"a"), (b"content-length", b"2"), (b"expect", b"100-continue")])


class Continues(Writes):
    """Has the client go on, and says all that it is told."""

    events = (EXPECT,)

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._out = b""

    def recv(self, data: bytes) -> Any:
        super().recv(data)
        self.events = (Body(b"ab"), End())

    def submit_continue(self) -> None:
        self._out += b"go on\n"

    def submit_head(self, head: Answer) -> None:
        self._out += b"%d %d\n" % (head.status, head.close)

    def submit_body(self, data: bytes, end: bool) -> None:
        self._out += b"%s %d\n" % (data, end)

    def send(self) -> bytes:
        out, self._out = self._out, b""
        return out


class FailsToContinue(Continues):
    def submit_continue(self) -> None:
        raise ValueError("odd")


class SendsTextToContinue(Continues):
    def send(self) -> Any:
        return "text"


class IsInterrupted(Odd):
    def recv(self, data: bytes) -> Any:
        raise KeyboardInterrupt


class HasNoMethods:
    def __init__(self, limits: Limits) -> None: ...


class GivesNoStatus(Odd):
    class Rejects(Reject):
        """Another class is no event, whatever it is made of."""

    events = (Rejects(400),)


class IsAheadOddly(Odd):
    events = (HEAD, End())

    @property
    def begun(self) -> Any:
        raise LookupError("odd")
