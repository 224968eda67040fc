"""What an application leaves open in its task ends with its request: nobody else feels it, and the server stops.

The servers are shared, so that what one test had left open would be felt by the next, and by the stop in the end.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import pytest
from harness import Serve, Server, until

APP = "left_open:app"
OPTIONS = ("--lifespan", "off")
BYSTANDERS = 5
TIMES = 5
WHEN = ["before", "after", "middle", "failing"]
trio_only = pytest.mark.parametrize("suspended", ["", "&suspended"], ids=["at-once", "suspended"])


@contextlib.contextmanager
def bystanders(server: Server) -> Iterator[None]:
    """Requests before, during and after what is done meanwhile; all are answered, and nothing is left."""
    with contextlib.ExitStack() as stack:
        assert server.ask(target="/plain?before").body == b"before"
        clients = [stack.enter_context(server.connect()) for _ in range(BYSTANDERS)]
        for client in clients:
            client.send(b"POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nbod")
        until(lambda: server.get("/counted")[0] == BYSTANDERS, "they wait")
        yield
        assert server.ask(target="/plain?during").body == b"during"
        assert int(server.ask(target="/let").body) == BYSTANDERS
        for client in clients:
            client.send(b"ies")
            assert client.answer().body == b"bodies"
            assert client.ask(target="/plain?after").body == b"after"
    until(lambda: server.get("/counted") == [0, 0], "nothing is left")
    assert server.process.poll() is None, server.log()


def left(server: Server, target: str, when: str) -> None:
    """Ask for what is left open, among pipelined requests; the answer is complete unless it was left, too."""
    complete = when in {"before", "after"}
    for _ in range(TIMES):
        with server.connect() as client:
            client.send(b"GET /plain?1 HTTP/1.1\r\nHost: a\r\n\r\n")
            client.send(f"GET {target}&when={when} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            client.send(b"GET /pausing?2 HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.answer().body == b"1"
            answer = client.answer()
            assert answer.status == 200 and answer.complete == complete
            assert answer.body == {"before": b"left", "after": b"some left"}.get(when, b"some ")
            assert client.answer().body == b"2" if complete else client.closed()
        assert server.ask(target="/pausing?next").body == b"next"


def check_log(server: Server, seen: int, when: str) -> None:
    """Behind its first ``seen`` characters the log tells of what the application did wrong in its answer, alone."""
    told = {"failing": "ValueError: on purpose", "middle": "without completing response"}.get(when)
    if told is not None:
        until(lambda: server.log()[seen:].count(told) >= TIMES, "the log")
    log = server.log()[seen:]
    assert ("ValueError: on purpose" in log) == ("Traceback" in log) == (when == "failing")
    assert ("without completing response" in log) == (when == "middle")
    assert "in a child" not in log


@pytest.fixture
def trio_server(shared: Serve) -> Server:
    """The server on trio."""
    return shared(APP, "trio", *OPTIONS)


@trio_only
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("kind", ["open", "cancelled", "expiring", "shielded"])
def test_scope_of_trio(trio_server: Server, kind: str, when: str, suspended: str) -> None:
    """One that is cancelled, or will be, cancels what its task does next: no other request is that."""
    seen = len(trio_server.log())
    with bystanders(trio_server):
        left(trio_server, f"/scope?kind={kind}{suspended}", when)
    check_log(trio_server, seen, when)


@trio_only
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize(
    "children", ["", "long", "short", "failing", "stubborn", "ready", "long+failing+stubborn+short"]
)
def test_nursery_of_trio(trio_server: Server, children: str, when: str, suspended: str) -> None:
    """Its children are cancelled, and trio finds no task that ends with a nursery open."""
    seen = len(trio_server.log())
    with bystanders(trio_server):
        left(trio_server, f"/nursery?children={children}{suspended}", when)
        until(lambda: trio_server.get("/counted")[1] == 0, "the children end")
    check_log(trio_server, seen, when)


@trio_only
@pytest.mark.parametrize("page", ["/scope?depth=3", "/nursery?depth=3&children=long", "/nursery?cancelled"])
def test_many_of_trio(trio_server: Server, page: str, suspended: str) -> None:
    """Several that are open inside of one another, and one that is cancelled."""
    seen = len(trio_server.log())
    with bystanders(trio_server):
        left(trio_server, page + suspended, "before")
    check_log(trio_server, seen, "before")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_reaches_into_what_is_left_open(own: Serve, number: int) -> None:
    trio_server = own(APP, "trio", *OPTIONS)
    with trio_server.connect() as client:
        client.request(target="/hang")
        until(lambda: trio_server.get("/counted")[1] == 1, "it hangs")
        trio_server.send_signal(number)
        until(lambda: "Waiting for 1 request(s)" in trio_server.log(), "the stop")
        assert trio_server.stop(number) == 128 + number
    assert "Traceback" not in trio_server.log()


def test_stop_while_children_of_trio_end(own: Serve) -> None:
    """The request is over, its children are not: the server waits for them."""
    trio_server = own(APP, "trio", *OPTIONS)
    assert trio_server.ask(target="/nursery?children=stubborn").body == b"left"
    assert trio_server.stop() == 0, trio_server.log()


@pytest.mark.parametrize("suspended", ["", "&suspended"], ids=["at-once", "suspended"])
@pytest.mark.parametrize("limited", ["", "&limited"], ids=["plain", "limited"])
@pytest.mark.parametrize("when", ["before", "middle"])
def test_waiting_for_nothing(shared: Serve, library: str, when: str, limited: str, suspended: str) -> None:
    """No library knows the number that is yielded: this request fails, and says where."""
    server = shared(APP, library, *OPTIONS)
    seen = len(server.log())
    with bystanders(server):
        for _ in range(TIMES):
            with server.connect() as client:
                client.request(target=f"/nothing?when={when}{limited}{suspended}")
                answer = client.answer()
                assert answer.status == (500 if when == "before" else 200)
                assert answer.complete == (when == "before")
            assert server.ask(target="/plain?next").body == b"next"
    until(lambda: server.log()[seen:].count("yield 5") >= TIMES, "the log")
    log = server.log()[seen:]
    assert log.count("Exception in ASGI application") == log.count("yield 5") == TIMES
    assert "5" in log.rpartition("Error: ")[2].splitlines()[0]


def test_waiting_for_nothing_and_cleaning_up(shared: Serve, library: str) -> None:
    """The application is told where it waits, and may suspend once more as it ends."""
    server = shared(APP, library, *OPTIONS)
    seen = len(server.log())
    with bystanders(server):
        assert server.ask(target="/cleaning").status == 500
    until(lambda: "yield 5" in server.log()[seen:], "the log")
