"""The invariants I1 to I9 under load: many clients, many exchanges at once, all the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from harness import TIMEOUT, Serve, Server, until

APP = "tasks:app"


def get(target: str) -> bytes:
    """Return the bytes of a request without a body."""
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def let_all(server: Server, count: int) -> None:
    """Wait until so many exchanges are held, then let them go on."""
    until(lambda: int(server.ask(target="/held_now").body) == count, f"{count} are held", 60)
    assert int(server.ask(target="/let").body) == count


@contextmanager
def load(server: Server, page: str, clients: int = 4) -> Iterator[list[int]]:
    """Keep clients asking for a page, 16 requests at a time; the list counts the answers."""
    stop = threading.Event()
    counts = [0] * clients
    failures: list[str] = []

    def ask(number: int) -> None:
        try:
            with server.connect() as client:
                while not stop.is_set():
                    client.send(get(page) * 16)
                    for _ in range(16):
                        answer = client.answer()
                        assert answer.status == 200, answer
                    counts[number] += 16
        except (AssertionError, OSError) as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        stop.set()
        for thread in threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive(), "a client got no answer"
    assert failures == []


def test_I1_suspended_and_fresh_requests_are_all_served(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    clients = [server.connect() for _ in range(20)]
    for number, client in enumerate(clients):
        client.request(target=f"/hold?n={number}")
        assert server.ask(target=f"/number?n={number}").body == b"%d" % number
        assert server.ask(target=f"/number?n={number}&ms=1").body == b"%d" % number
    let_all(server, 20)
    for number, client in enumerate(clients):
        assert client.answer().body == b"%d" % number
        client.close()


def test_I1_under_load(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with load(server, "/number?n=1") as finished, load(server, "/number?n=2&ms=1") as suspended:
        for number in range(20):
            assert server.ask(target=f"/number?n={number}&ms={number % 3}").body == b"%d" % number
        until(lambda: min(finished) > 0 and min(suspended) > 0, "every client is served")


def test_I2_sniffio_knows_the_library(shared: Serve, library: str) -> None:
    expected = "asyncio" if library == "uvloop" else library
    assert shared(APP, library).get("/library") == [expected, expected]


def test_I2_time_limits(shared: Serve, library: str) -> None:
    assert shared(APP, library).get("/timeout") == [True, True, False]


def test_I2_groups_of_tasks(shared: Serve, library: str) -> None:
    assert shared(APP, library).get("/grouped") == [1, 2, 3]


def test_I2_failure_in_a_group(shared: Serve, library: str) -> None:
    assert shared(APP, library).get("/failing_group") == [[True], True]


def test_I2_anyio(shared: Serve, library: str) -> None:
    """anyio knows no curio: there its place is taken by curio's own tools."""
    server = shared(APP, library)
    if library == "curio":
        assert server.get("/timeout") == [True, True, False] and server.get("/grouped") == [1, 2, 3]
    else:
        expected = [True, "from a thread", "through a stream", "http.request", True]
        assert server.get("/anyio_tools") == expected


def test_I2_under_load(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with load(server, "/number?n=1"), load(server, "/number?n=1&ms=1"):
        for _ in range(5):
            assert server.get("/timeout") == [True, True, False]
            assert server.get("/grouped") == [1, 2, 3]
            assert server.get("/same_task")[:2] == [True, True]


def test_I3_context_variables_are_fresh(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with load(server, "/variables?n=finished"), load(server, "/variables?n=suspended&ms=1"):
        for number in range(30):
            assert server.get(f"/variables?n={number}") == [None]
            assert server.get(f"/variables?n={number}&ms=2") == [None, str(number), str(number)]


def test_I4_task_that_was_suspended_serves_no_other(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with load(server, "/number?n=1&ms=1"):
        for number in range(60):
            page = "/fresh_task" + ("?ms=1" if number % 3 == 0 else "")
            assert server.ask(target=page).body == b"fresh"
    with server.connect() as client:
        client.send(b"".join(get("/fresh_task" + "?ms=1" * (n % 2)) for n in range(40)))
        assert {client.answer().body for _ in range(40)} == {b"fresh"}


def test_I5_no_request_waits_for_a_suspended_one(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with server.connect() as slow, server.connect() as fast:
        slow.request(target="/hold")
        slow.send(get("/number?n=5"))
        for number in range(50):
            assert fast.ask(target=f"/number?n={number}").body == b"%d" % number
        let_all(server, 1)
        assert [slow.answer().body for _ in range(2)] == [b"held", b"5"]


@pytest.mark.parametrize("page", ["/number?n=1", "/number?n=1&ms=0"], ids=["finished", "suspended"])
def test_I6_other_tasks_keep_running_under_load(shared: Serve, library: str, page: str) -> None:
    """A task that sleeps for 5 ms again and again has its turns while the server is busy."""
    server = shared(APP, library, "--no-access-log")
    with load(server, page) as counts:
        until(lambda: min(counts) > 0, "the load")
        server.get("/ticking")
        began = time.monotonic()
        time.sleep(0.7)
        ticks, gap = server.get("/ticking")
        lasted = time.monotonic() - began
    assert ticks > lasted / 0.005 / 8 and gap < 0.5, (ticks, gap, lasted)


@pytest.mark.parametrize("kind", ["exception", "interrupt", "cancel-self"])
def test_I7_under_load(own: Serve, library: str, kind: str) -> None:
    server = own(APP, library, "--no-access-log")
    with load(server, "/number?n=1", 2), load(server, "/number?n=1&ms=1", 2):
        for number in range(30):
            extra = "&ms=1" if number % 2 else ""
            assert server.ask(target=f"/raised?kind={kind}{extra}").status == 500
    assert server.stop() == 0, server.log()


@pytest.mark.parametrize("page", ["/raise", "/five"])
def test_I7_application_that_is_broken_when_called(own: Serve, library: str, page: str) -> None:
    server = own("tasks:broken_call", library)
    for _ in range(3):
        assert server.ask(target=page).status == 500
        assert server.ask(target="/number?n=6").body == b"6"
    assert server.stop() == 0


def test_I9_blocked_send_can_be_cancelled(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with server.connect() as client:
        client.request(target="/cancelled_blocked_send")
        until(lambda: ["blocked send", True, True] in server.get("/noted"), "the cancellation")
        answer = client.answer()
        assert answer.complete and answer.body.endswith(b"aend")


def test_I9_under_load(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with load(server, "/tight_send?count=200", 2):
        for number in range(20):
            assert server.ask(target=f"/number?n={number}").body == b"%d" % number
