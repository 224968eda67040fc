"""Cancelling a request with its client, or when its time is over; telling streams that the server stops."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from harness import Client, Serve, Server, until

APP = "cancellation:app"
ON = "--cancel-on-disconnect"


def notes(server: Server, token: str) -> list[str]:
    """Return what a request has noted."""
    return [what for name, what in server.get("/shown") if name == token]


def leave(server: Server, target: str, how: str = "close") -> None:
    """Send a request and go when it has begun."""
    token = target.partition("token=")[2].partition("&")[0]
    with server.connect() as client:
        client.request(target=target)
        until(lambda: "began" in notes(server, token), "the beginning")
        if how == "reset":
            client.reset()
        elif how == "half":
            client.socket.shutdown(socket.SHUT_WR)
            until(lambda: len(notes(server, token)) > 1, "the end")


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_request_is_cancelled_with_its_client(shared: Serve, library: str, how: str) -> None:
    server = shared(APP, library, ON)
    leave(server, f"/work?token=gone-{how}", how)
    until(lambda: notes(server, f"gone-{how}") == ["began", "cancelled"], "the cancellation")
    assert "Traceback" not in server.log()


def test_request_goes_on_without_its_client_by_default(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    leave(server, "/work?token=stays&ms=300")
    until(lambda: notes(server, "stays") == ["began", "slept"], "the end")


def test_application_asks_for_it_itself(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    leave(server, "/work?token=asked&enable")
    until(lambda: notes(server, "asked") == ["began", "cancelled"], "the cancellation")


def test_application_declines_it(shared: Serve, library: str) -> None:
    server = shared(APP, library, ON)
    leave(server, "/work?token=declined&disable&ms=300")
    until(lambda: notes(server, "declined") == ["began", "slept"], "the end")


def test_application_declines_it_for_a_while(shared: Serve, library: str) -> None:
    """A client that has left meanwhile is not forgotten."""
    server = shared(APP, library, ON)
    leave(server, "/declines_for_a_while?token=while")
    until(lambda: notes(server, "while") == ["began", "left alone", "cancelled"], "the cancellation")


def test_application_that_goes_on_is_left_to(own: Serve, library: str) -> None:
    server = own(APP, library, ON, "--log-level", "debug")
    leave(server, "/goes_on?token=on")
    until(lambda: notes(server, "on") == ["began", "caught"], "the end")
    assert server.get("/task") == [0]
    assert server.stop() == 0
    assert server.log().count("A request was cancelled: its client has gone.") == 1
    assert "Traceback" not in server.log() and "returned without" not in server.log()


@pytest.mark.parametrize("how", ["alone", "beside"])
def test_failure_during_the_cancellation_is_told(own: Serve, library: str, how: str) -> None:
    server = own(APP, library, "--request-timeout", "0.3")
    with server.connect() as client:
        timed_out(client, f"/fails?token=fails&{how}", 504)
    assert server.get("/task") == [0]
    assert server.stop() == 0
    assert server.log().count("A request was cancelled: it took more than 0.3 s") == 1
    assert "ValueError: while it was cancelled" in server.log()


def test_only_the_application_itself_asks(shared: Serve, library: str) -> None:
    [error] = shared(APP, library).get("/from_a_child")
    assert "by the application itself" in error


def test_tasks_of_the_request_are_cancelled_with_it(shared: Serve, library: str) -> None:
    server = shared(APP, library, ON)
    leave(server, "/family?token=family")
    until(lambda: "ended" in notes(server, "family"), "the end")
    assert sorted(notes(server, "family")[1:-1]) == ["first cancelled", "second cancelled"]


def test_cancellation_passes_through_a_timeout(shared: Serve, library: str) -> None:
    """Asked for inside of it, so that on trio the scope is put around one that is entered already."""
    server = shared(APP, library)
    leave(server, "/scoped?token=scoped")
    until(lambda: notes(server, "scoped") == ["began", "left []"], "the cancellation")
    assert notes(server, "scoped") == ["began", "left []"]


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_receive_that_waits_is_cancelled(shared: Serve, library: str, how: str) -> None:
    """The cancellation comes in the place of the disconnect."""
    server = shared(APP, library, ON)
    leave(server, f"/waits?token=waits-{how}", how)
    until(lambda: len(notes(server, f"waits-{how}")) > 1, "the end")
    assert notes(server, f"waits-{how}") == ["began", "cancelled"]


def test_stream_is_cancelled_with_its_reader(shared: Serve, library: str) -> None:
    server = shared(APP, library, ON)
    leave(server, "/streams?token=stream")
    until(lambda: notes(server, "stream") == ["began", "cancelled"], "the cancellation")


def test_work_after_the_answer_is_not_cancelled(shared: Serve, library: str) -> None:
    server = shared(APP, library, ON, "--request-timeout", "0.3")
    with server.connect() as client:
        assert client.ask(target="/afterwards?token=after&ms=600").body == b"done"
    until(lambda: notes(server, "after") == ["began", "slept"], "the end")


def test_others_are_left_alone(shared: Serve, library: str) -> None:
    """Requests of other clients, and the one that the cancelled request's task might have served next (I7)."""
    server = shared(APP, library, ON)
    others = [server.connect() for _ in range(5)]
    for number, other in enumerate(others):
        other.request(target=f"/work?token=other-{number}&ms=600")
    for number in range(20):
        leave(server, f"/work?token=leaves-{number}")
        assert server.get("/task") == [0]
    assert [other.answer().body for other in others] == [b"slept"] * 5
    for other in others:
        other.close()
    until(lambda: all("cancelled" in notes(server, f"leaves-{number}") for number in range(20)), "all")


def timed_out(client: Client, target: str, status: int) -> Any:
    """Send a request whose time will be over, and return its answer."""
    began = time.monotonic()
    client.request(target=target)
    answer = client.answer()
    assert 0.25 < time.monotonic() - began < 5 and answer.status == status
    return answer


def test_504_when_the_time_is_over(own: Serve, library: str) -> None:
    server = own(APP, library, "--request-timeout", "0.3")
    with server.connect() as client:
        assert client.ask(target="/work?token=in-time&ms=10").body == b"slept"
        answer = timed_out(client, "/work?token=late", 504)
        assert answer.body == b"Gateway Timeout" and answer.get("connection") == "close" and client.closed()
    assert notes(server, "late") == ["began", "cancelled"]
    assert server.stop() == 0
    assert server.log().count("A request was cancelled: it took more than 0.3 s") == 1
    assert '"GET /work?token=late HTTP/1.1" 504' in server.access() and "Traceback" not in server.log()


def test_time_is_not_reset_by_what_is_sent(own: Serve, library: str) -> None:
    """An answer that was begun ends with the connection."""
    server = own(APP, library, "--request-timeout", "0.3")
    with server.connect() as client:
        client.request(target="/streams?token=stream")
        answer = client.answer()
        assert answer.body == b"line\n" and not answer.complete
    assert notes(server, "stream") == ["began", "cancelled"]
    assert server.stop() == 0 and "Traceback" not in server.log()


def test_application_may_answer_when_its_time_is_over(shared: Serve, library: str) -> None:
    with shared(APP, library, "--request-timeout", "0.3").connect() as client:
        assert timed_out(client, "/cleans_up?token=cleans", 503).body == b"too late"
        assert client.ask(target="/work?ms=10").body == b"slept"


def test_client_that_leaves_is_no_cause_where_only_time_is(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--request-timeout", "0.5")
    began = time.monotonic()
    leave(server, "/work?token=left-early")
    until(lambda: notes(server, "left-early") == ["began", "cancelled"], "the cancellation")
    assert time.monotonic() - began > 0.4


def test_pipelined_requests_have_their_own_time(shared: Serve, library: str) -> None:
    """It begins when a request's head has come, and the request before it has been answered."""
    with shared(APP, library, "--request-timeout", "0.5").connect() as client:
        for _ in range(3):
            client.request(target="/work?ms=300")
        assert [client.answer().body for _ in range(3)] == [b"slept"] * 3


def test_extensions_are_each_requests_own(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    for _ in range(2):
        assert server.get("/change") == ["tricorn.cancel_on_disconnect", "tricorn.shutdown"]


def test_stream_ends_cleanly_when_the_server_stops(own: Serve, library: str) -> None:
    server = own(APP, library, "--timeout-graceful-shutdown", "10")
    with server.connect() as first, server.connect() as second:
        for client in (first, second):
            client.request(target="/watch")
            assert client.until(b"False\n")
        time.sleep(0.05)
        began = time.monotonic()
        server.send_signal()
        for client in (first, second):
            assert b"True 2\n" in client.rest()
    assert server.wait() == 0 and time.monotonic() - began < 5
    assert "shutdown False True" in server.access()
