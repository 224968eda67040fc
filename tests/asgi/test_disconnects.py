"""A client that disappears at each step of an exchange: nothing is left at work, nothing is logged as an error."""

from __future__ import annotations

import pytest
from harness import Client, Serve, Server, until

APP = "comings:app"
HOST = b"Host: a\r\n"


def at_work(server: Server) -> int:
    """Return how many exchanges are at work."""
    return int(server.get("/now")[0])


def part(client: Client, server: Server) -> None:
    """Wait until an exchange is at work."""
    until(lambda: at_work(server) == 1, "the exchange is at work")


def before_a_byte(client: Client, server: Server) -> None:
    """Nothing is sent."""


def in_the_request_line(client: Client, server: Server) -> None:
    client.send(b"GET /pla")


def in_the_head(client: Client, server: Server) -> None:
    client.send(b"GET /plain?n=1 HTTP/1.1\r\n" + HOST + b"A: b")


def after_the_head(client: Client, server: Server) -> None:
    client.send(b"POST /echo?n=1 HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n")
    part(client, server)


def in_the_body(client: Client, server: Server) -> None:
    client.send(b"POST /echo?n=1 HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc")
    part(client, server)


def in_a_chunk(client: Client, server: Server) -> None:
    client.send(b"POST /echo?n=1 HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\na")
    part(client, server)


def in_a_chunk_size(client: Client, server: Server) -> None:
    client.send(b"POST /echo?n=1 HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1")
    part(client, server)


def before_the_body_is_read(client: Client, server: Server) -> None:
    """The whole body is there, and the application has not looked at it."""
    client.request("POST", "/echo?n=1&ms=50", b"body")
    part(client, server)


def in_a_body_that_nobody_reads(client: Client, server: Server) -> None:
    client.send(b"POST /ignore?n=1&ms=50 HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc")
    part(client, server)


def after_an_early_answer(client: Client, server: Server) -> None:
    client.send(b"POST /ignore?n=1 HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc")
    assert client.answer().body == b"1"


def waiting_for_a_continue(client: Client, server: Server) -> None:
    client.send(
        b"POST /echo?n=1&ms=30 HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    )
    part(client, server)


def during_receive(client: Client, server: Server) -> None:
    client.request(target="/until_gone")
    part(client, server)


def during_work(client: Client, server: Server) -> None:
    client.request(target="/plain?n=1&ms=50")
    part(client, server)


def during_blocked_send(client: Client, server: Server) -> None:
    """The client reads nothing, so the application waits in send()."""
    client.request(target="/stream_for_ever")
    client.until(b"\r\n\r\n")


def between_sends(client: Client, server: Server) -> None:
    client.request(target="/stream_for_ever?ms=5")
    client.until(b"\r\n\r\n")


def between_sends_of_what_nobody_gets(client: Client, server: Server) -> None:
    """A HEAD's answer is complete long before its application is, which writes nothing that could fail."""
    client.request("HEAD", "/stream_for_ever?ms=5")
    client.until(b"\r\n\r\n")


def while_one_task_sends_and_one_receives(client: Client, server: Server) -> None:
    client.request(target="/stream_and_listen")
    client.until(b"\r\n\r\n")


def in_the_answer(client: Client, server: Server) -> None:
    client.request(target="/stream?n=1&ms=20")
    client.until(b"1.0;")


def after_the_answer(client: Client, server: Server) -> None:
    assert client.ask(target="/plain?n=1").body == b"1"


def with_answers_unread(client: Client, server: Server) -> None:
    client.send(b"GET /plain?n=1 HTTP/1.1\r\n" + HOST + b"\r\n")
    client.until(b"\r\n")
    client.send(b"GET /plain?n=1 HTTP/1.1\r\n" + HOST + b"\r\n")


def with_pipelined_requests(client: Client, server: Server) -> None:
    client.send((b"GET /plain?n=1&ms=20 HTTP/1.1\r\n" + HOST + b"\r\n") * 10 + b"GET /pl")
    part(client, server)


STEPS = [
    before_a_byte,
    in_the_request_line,
    in_the_head,
    after_the_head,
    in_the_body,
    in_a_chunk,
    in_a_chunk_size,
    before_the_body_is_read,
    in_a_body_that_nobody_reads,
    after_an_early_answer,
    waiting_for_a_continue,
    during_receive,
    during_work,
    during_blocked_send,
    between_sends,
    between_sends_of_what_nobody_gets,
    while_one_task_sends_and_one_receives,
    in_the_answer,
    after_the_answer,
    with_answers_unread,
    with_pipelined_requests,
]

FAILS_BY_ITSELF = {"after_the_head", "in_the_body", "in_a_chunk", "in_a_chunk_size", "waiting_for_a_continue"}
"""Steps at which this application fails on the disconnect: it asserts that the body goes on."""


@pytest.mark.parametrize("end", ["close", "reset", "half-close"])
@pytest.mark.parametrize("step", STEPS)
def test_client_disappears(shared: Serve, library: str, step: object, end: str) -> None:
    server = shared(APP, library)
    before = len(server.log())
    assert callable(step)
    client = server.connect()
    step(client, server)
    if end == "half-close":
        client.socket.shutdown(1)
        if step.__name__ in {"during_blocked_send", "between_sends", "while_one_task_sends_and_one_receives"}:
            client.reset()  # an answer without an end would be sent for ever
        else:
            client.rest()
    elif end == "close":
        client.close()
    else:
        client.reset()
    until(lambda: at_work(server) == 0, "nothing is at work")
    client.close()
    log = server.log()[before:]
    if step.__name__ not in FAILS_BY_ITSELF:
        assert "Traceback" not in log and "ERROR" not in log, log


def test_descriptors_come_back(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    server.get("/now")
    before = server.descriptors()
    for number in range(60):
        client = server.connect()
        STEPS[number % 4](client, server)
        client.reset() if number % 2 else client.close()
    until(lambda: server.descriptors() <= before, "every descriptor is closed")


def test_disconnect_cancels_no_other_exchange(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    stable = [server.connect() for _ in range(10)]
    for number, client in enumerate(stable):
        client.request(target=f"/stream?n={number}&ms=30&count=10")
    for number in range(100):
        fleeting = server.connect()
        fleeting.request(target=f"/stream_for_ever?ms={number % 3}")
        fleeting.reset()
    for number, client in enumerate(stable):
        with client:
            assert client.answer().body == b"".join(b"%d.%d;" % (number, n) for n in range(10))
    until(lambda: at_work(server) == 0, "nothing is at work")
