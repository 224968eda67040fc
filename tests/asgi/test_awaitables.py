"""What an application may be awaited through, and what it may do with what receive() and send() give."""

from __future__ import annotations

import pytest
from harness import Serve

APP = "awaitables:app"
POST = b"POST /%s HTTP/1.1\r\nHost: test.example\r\nContent-Length: 3\r\n\r\n"


@pytest.mark.parametrize("way", ["coroutine", "only-await", "of-generator"])
def test_application_may_be_any_awaitable(shared: Serve, library: str, way: str) -> None:
    """A coroutine, an object with __await__, and a coroutine that is a generator."""
    server = shared(APP, library)
    assert server.ask("POST", f"/echo?{way}", b"abc").body == b"abc"


def test_application_may_be_an_iterator_that_takes_no_values(shared: Serve, library: str) -> None:
    """Where the library sends no values, as asyncio does."""
    if library in {"trio", "curio"}:
        pytest.skip(f"{library} sends values into what it runs")
    assert shared(APP, library).ask("POST", "/echo?only-next", b"abc").body == b"abc"


@pytest.mark.parametrize("way", ["plain-generator", "no-iterator", "number", "nothing"])
def test_application_that_cannot_be_awaited(own: Serve, library: str, way: str) -> None:
    """It is answered with a 500 and a TypeError in the log; the next request finds the server well."""
    server = own(APP, library, "--lifespan", "off")
    assert server.ask("POST", f"/echo?{way}", b"abc").status == 500
    assert server.ask("POST", "/echo", b"abc").body == b"abc"
    assert server.stop() == 0
    assert "TypeError" in server.log()


@pytest.mark.parametrize("way", ["first", "later", "twice", "caught"])
@pytest.mark.parametrize("trap", ["none", "number", "tuple", "object"])
def test_I7_application_that_yields_what_is_not_the_librarys(
    own: Serve, library: str, way: str, trap: str
) -> None:
    """It alone fails, and may catch that; the server lives."""
    if trap == "none" and library in {"asyncio", "uvloop"}:
        pytest.skip("None is what asyncio itself yields to let others run")
    server = own(APP, library, "--lifespan", "off")
    with server.connect() as bystander:
        bystander.send(POST % b"echo")
        assert bystander.quiet()
        for _ in range(3):
            assert server.ask("GET", f"/foreign?way={way}&trap={trap}").status == (
                200 if way == "caught" else 500
            )
        bystander.send(b"abc")
        assert bystander.answer().body == b"abc"
    assert server.stop() == 0


def test_event_is_awaited_once(shared: Serve, library: str) -> None:
    """As with a coroutine."""
    assert shared(APP, library).ask("POST", "/again", b"abc").body == b"this was awaited already"


def test_event_is_awaited_by_one_task(shared: Serve, library: str) -> None:
    """The second task is refused; the first, which waits, still gets the event."""
    with shared(APP, library).connect() as client:
        client.send(POST % b"one_for_two")
        assert client.quiet()
        client.send(b"abc")
        assert client.answer().json() == ["http.request", "this is being awaited already"]


def test_what_an_exchange_left_behind_does_nothing(shared: Serve, library: str) -> None:
    """Messages for an exchange that is over reach nobody, and it has nothing to give but the disconnect."""
    server = shared(APP, library)
    server.get("/after_the_end")
    with server.connect() as client:
        for _ in range(3):
            assert client.ask("GET", "/after_the_end").json() == ["http.disconnect"] * 2


def test_last_words_of_a_body(shared: Serve, library: str) -> None:
    """A body whose memory is given back in the midst of writing sends another: every byte comes once."""
    body = shared(APP, library).ask("GET", "/last_words").body
    assert body.endswith(b"end")
    for number in range(10):
        assert body.count(b"-%d-" % number) == 20_000
    assert len(body) == 10 * 360_000 + 3
