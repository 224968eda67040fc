"""Protocols made in Python that end their connection from within each of their calls, or say what nobody can mean."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from core_bench import Bench

from tricorn.protocols import Answer, Binding, Body, End, Head, Reject

METHODS = (
    "__init__",
    "recv",
    "next_event",
    "method",
    "data",
    "ahead",
    "begun",
    "submit_continue",
    "submit_head",
    "submit_body",
    "send",
)
FIELDS = [(b"host", b"a"), (b"content-length", b"3"), (b"expect", b"100-continue")]


class Protocol:
    """Any bytes are a request with a body, whose answer is written as it is; before each call something is done."""

    within: Callable[[str], None] = staticmethod(lambda method: None)
    events: Iterable[Any] = ()

    def __init__(self) -> None:
        self.within("__init__")
        self.out = b""
        self.left = iter(self.events)
        self.has_more = False

    def recv(self, data: bytes) -> Any:
        """Take all."""
        self.within("recv")
        self.has_more = True
        return len(data)

    def next_event(self) -> Any:
        """Give what there is to give: with the first bytes a head, with further ones the rest."""
        self.within("next_event")
        event = next(self.left, None) if self.has_more else None
        self.has_more = self.has_more and not hasattr(event, "fields")
        return event

    @property
    def ahead(self) -> bool:
        """Nothing was read ahead."""
        self.within("ahead")
        return False

    @property
    def begun(self) -> bool:
        """Nothing has begun."""
        self.within("begun")
        return False

    def submit_continue(self) -> None:
        """Say so."""
        self.within("submit_continue")
        self.out += b"go on "

    def submit_head(self, head: Answer) -> None:
        """Write the fields."""
        self.within("submit_head")
        self.out += b"%d %s " % (head.status, b" ".join(b"=".join(field) for field in head.fields))

    def submit_body(self, data: bytes, end: bool) -> None:
        """Write the body."""
        self.within("submit_body")
        self.out += data

    def send(self) -> bytes:
        """Give what was written."""
        self.within("send")
        out, self.out = self.out, b""
        return out


class Connection:
    """A connection of such a protocol, whose events are calls, too."""

    def __init__(
        self, within: Callable[[Connection, str], Any] = lambda at, method: None, events: Iterable[Any] = ()
    ) -> None:
        self.calls: list[str] = []
        self.faults: list[BaseException] = []
        self.active = True

        def called(method: str) -> None:
            self.calls.append(method)
            if self.active:
                within(self, method)

        class SlowHead:
            """A head whose method is asked for by a call."""

            target, fields, version = b"/", FIELDS, b"1.1"

            @property
            def method(self) -> bytes:
                called("method")
                return b"POST"

        class SlowBody:
            """A body whose bytes are."""

            @property
            def data(self) -> bytes:
                called("data")
                return b"abc"

        class Mine(Protocol):
            within = staticmethod(called)

        self.protocol = Mine
        Mine.events = events or [SlowHead(), SlowBody(), End()]
        head, body = (Head, Body) if events else (SlowHead, SlowBody)
        binding = Binding(Mine, self.faults.append, head, body, answer=Answer)
        self.at = Bench(self.app, parser=binding, date=True, server=b"server: ours\r\n")

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a body with itself, in two parts."""
        event = await receive()
        fields = [(b"Server", b"theirs"), (b"connection", b"close"), (b"x-a", b"b")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": event.get("body", b""), "more_body": True})
        await send({"type": "http.response.body"})

    def serve(self) -> bytes:
        """Send a request and its body, step until nothing more happens, and return what has come."""
        runners: list[Any] = [self.at.server.runner()]
        for data in (b"", b"request", b"its body"):
            with contextlib.suppress(OSError):  # it may have ended
                self.at.client.sendall(data)
            for _ in range(3):
                self.step(runners)
        for runner in runners:
            runner.close()
        self.at.client.settimeout(0.2)
        with contextlib.suppress(OSError):
            return self.at.client.recv(65536)
        return b""

    def step(self, runners: list[Any]) -> None:
        """Step each task once, and start those that were asked for."""
        for runner in list(runners):
            try:
                runner.send(None)
            except (StopIteration, OSError):
                runners.remove(runner)
        while self.at.library.spawned:
            self.at.library.spawned -= 1
            runners.append(self.at.server.runner())

    def close(self) -> None:
        """Give everything back."""
        self.active = False
        self.at.client.close()
        self.at.server.close()


def test_the_calls_that_are_made() -> None:
    """Each of them is, so that the tests below are about something."""
    at = Connection()
    answer = at.serve()
    assert set(at.calls) == set(METHODS) and at.faults == []
    assert answer.startswith(b"go on 200 Server=theirs x-a=b date=") and answer.endswith(b" abc")
    at.close()


@pytest.mark.parametrize("raises", [False, True], ids=["ends", "ends-and-fails"])
@pytest.mark.parametrize("method", METHODS)
def test_a_connection_that_its_protocol_ends(method: str, raises: bool) -> None:
    """Nothing more is asked of it; the exception is told."""

    def within(at: Connection, called: str) -> None:
        if called == method:
            at.at.server.close()
            if raises:
                raise ValueError("odd")

    at = Connection(within)
    at.serve()
    assert method in at.calls
    assert [str(fault) for fault in at.faults if isinstance(fault, ValueError)] == ["odd"] * raises
    at.close()


@pytest.mark.parametrize("method", ["submit_head", "submit_body", "send"])
def test_a_connection_that_its_protocol_ends_as_a_head_is_let_go(method: str) -> None:
    """The application has suspended between its answer's head and the body."""

    class Suspends(Connection):
        async def app(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "http.response.start", "status": 200})
            ends.append(method)
            while (await receive())["type"] != "http.disconnect":
                pass

    def within(at: Connection, called: str) -> None:
        if called in ends:
            at.at.server.close()

    ends: list[str] = []
    at = Suspends(within)
    at.serve()
    assert method in at.calls
    at.close()


@pytest.mark.parametrize("method", ["submit_head", "submit_body", "send"])
def test_an_answer_that_its_protocol_completes_as_a_head_is_let_go(method: str) -> None:
    """By a message of the application's, which has suspended before the body."""

    class Suspends(Connection):
        async def app(self, scope: Any, receive: Any, send: Any) -> None:
            self.send = send
            await receive()
            await send({"type": "http.response.start", "status": 200})
            ends.append(method)
            while (await receive())["type"] != "http.disconnect":
                pass

    def within(at: Connection, called: str) -> None:
        if called in ends:
            ends.clear()
            with contextlib.suppress(StopIteration, RuntimeError):
                at.send({"type": "http.response.body"}).__await__().send(None)  # type: ignore[attr-defined]

    ends: list[str] = []
    at = Suspends(within)
    at.serve()
    assert method in at.calls and not ends
    at.close()


def test_a_connection_that_its_protocol_ends_as_it_goes_away() -> None:
    ended: list[bool] = []

    def close(_: Any) -> None:
        if not ended:
            ended.append(True)
            at.at.server.close()

    at = Connection()
    at.protocol.__del__ = close  # type: ignore[attr-defined]
    at.serve()
    at.at.client.close()
    runners: list[Any] = [at.at.server.runner()]
    for _ in range(3):
        at.step(runners)
    for runner in runners:
        runner.close()
    assert ended
    at.close()


class Odd:
    """What is neither true nor false."""

    def __bool__(self) -> bool:
        raise LookupError("odd")


@pytest.mark.parametrize(
    "field",
    ["ab", (b"a",), (b"a", b"b", b"c"), ("a", b"b"), (b"a", "b"), [b"a", b"b"]],
    ids=["text", "one", "three", "name", "value", "list"],
)
def test_fields_that_are_no_pairs_of_bytes(field: Any) -> None:
    at = Connection(events=[Head(b"GET", b"/", [(b"host", b"a"), field])])
    assert at.serve().startswith(b"500 ")
    assert [str(fault) for fault in at.faults] == ["fields of a head are to be pairs of bytes"]
    at.close()


@pytest.mark.parametrize("status", [-1, 200, 399, 600, 1 << 70, None, "400"])
def test_refusals_that_are_none(status: Any) -> None:
    at = Connection(events=[Reject(status)])
    assert at.serve().startswith(b"500 ")
    assert len(at.faults) == 1 and isinstance(at.faults[0], (ValueError, OverflowError, TypeError))
    at.close()


@pytest.mark.parametrize("status", [400, 418, 599])
def test_refusals_are_answered(status: int) -> None:
    at = Connection(events=[Reject(status)])
    assert at.serve().startswith(b"%d " % status) and at.faults == []
    at.close()


@pytest.mark.parametrize("count", [-2, -1, 8, 1 << 70, "7", Odd()])
def test_more_bytes_are_not_taken_than_came(count: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Protocol, "recv", lambda self, data: count)
    at = Connection()
    assert at.serve().startswith(b"500 ")
    assert len(at.faults) == 1
    at.close()


@pytest.mark.parametrize("name", ["ahead", "begun"])
def test_what_is_read_ahead_is_true_or_false(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Protocol, name, Odd())
    at = Connection()
    assert at.serve().startswith(b"500 ")
    assert {type(fault) for fault in at.faults} == {LookupError}
    at.close()
