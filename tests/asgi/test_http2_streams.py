"""Many exchanges on one connection of HTTP/2: what happens to one does not happen to the others."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest
from harness import Closed, Serve, Server, until
from http2_client import CANCEL, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Http2, connect, until_page

from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_http2(), reason="HTTP/2 is not built in")

MANY = 100


@pytest.fixture
def server(shared: Serve, library: str) -> Server:
    """A server that speaks HTTP/2 without TLS."""
    return shared("streams:app", library, "--http2")


@pytest.fixture
def client(server: Server) -> Any:
    """A connection to it."""
    with connect(server) as opened:
        yield opened


def noted(server: Server, token: str) -> Any:
    """Wait for a note with that token, on another connection."""
    found: list[Any] = []

    def look() -> bool:
        found[:] = [note for note in server.get("/noted") if note[0] == token]
        return bool(found)

    until(look, f"a note of {token}")
    return found[0]


def test_many_at_once(client: Http2) -> None:
    """A slow one does not keep the others, and each gets its own answer."""
    slow = client.request("GET", "/number?n=slow&ms=2000")
    streams = [client.request("GET", f"/number?n={n}&ms={n % 7}") for n in range(MANY - 1)]
    for n, stream in enumerate(streams):
        assert client.answer(stream).body == b"%d" % n
    assert not slow.over
    assert client.answer(slow).body == b"slow"


def test_more_than_the_limit_come_one_after_another(client: Http2) -> None:
    client.ask("GET", "/hello")
    assert client.h2.remote_settings.max_concurrent_streams == MANY
    streams = [client.request("GET", "/number?n=1&ms=5") for _ in range(MANY)]
    for _ in range(3 * MANY):
        client.answer(streams.pop(0))
        streams.append(client.request("GET", "/number?n=1&ms=1"))
    for stream in streams:
        assert client.answer(stream).status == 200


def test_upload_that_nobody_takes_keeps_no_other(client: Http2) -> None:
    """Its window shuts, and the connection's stays open for others."""
    client.ask("GET", "/hello")
    stuck = [client.open("POST", "/read_late") for _ in range(5)]
    for stream in stuck:
        client.fill(stream)
    client.poll(0.2)
    assert all(client.h2.local_flow_control_window(stream.number) == 0 for stream in stuck)
    body = bytes(range(256)) * 800
    assert client.ask("POST", "/upload", body).json() == [len(body), hashlib.sha256(body).hexdigest()]
    until_page(client, "/held_now", lambda held: held == len(stuck))
    client.ask("POST", "/let")
    for stream in stuck:
        client.send(stream, b"end", end=True)
        size, _ = client.answer(stream).json()
        assert size > 65535


def test_many_uploads_at_once(client: Http2) -> None:
    """Piece by piece in turn, each more than its window."""
    bodies = [hashlib.shake_256(b"%d" % n).digest(100_000 + n) for n in range(10)]
    streams = [client.open("POST", "/upload") for _ in bodies]
    step = 20_000
    for at in range(0, 120_000, step):
        for stream, body in zip(streams, bodies, strict=True):
            client.send(stream, body[at : at + step], end=at + step >= 120_000)
    for stream, body in zip(streams, bodies, strict=True):
        assert client.answer(stream).json() == [len(body), hashlib.sha256(body).hexdigest()]


def test_upload_in_small_frames_is_no_flood(client: Http2) -> None:
    """Clients that stream messages of a few bytes each send them as fast as they can."""
    piece, count = b"twenty bytes of it!!", 30_000
    stream = client.open("POST", "/upload")
    for _ in range(count // 1000):
        while client.h2.local_flow_control_window(stream.number) < 1000 * len(piece):
            client.read()
        for _ in range(1000):
            client.h2.send_data(stream.number, piece)
        client.flush()
    client.h2.end_stream(stream.number)
    client.flush()
    assert client.answer(stream).json()[0] == count * len(piece)


def test_slow_download_beside_a_fast_one(client: Http2, server: Server) -> None:
    """The application of the one whose window is shut waits in send(), within a bound; the other gets all."""
    slow = client.open("GET", "/download?count=1000&size=10000&token=slow", end=True)
    slow.holds = True
    client.until(lambda: len(slow.body) >= 65535)
    fast = client.ask("GET", "/download?count=300&size=10000")
    assert len(fast.body) == 3_000_000
    client.poll(0.2)
    assert len(slow.body) == 65535
    _, sent = noted(server, "slow")
    assert sent * 10_000 < 65535 + 65536 + 3 * 10_000
    client.release(slow)
    assert len(client.answer(slow).body) == 10_000_000


def test_many_downloads_at_once(client: Http2) -> None:
    streams = [client.request("GET", "/download?count=30&size=10000&length=1") for _ in range(50)]
    for stream in streams:
        assert len(client.answer(stream).body) == 300_000 and stream.get("content-length") == "300000"


def test_large_piece_waits_for_the_window(client: Http2) -> None:
    """One message that is larger than every window goes out as it opens, its head at once."""
    stream = client.open("GET", "/download?count=1&size=5000000", end=True)
    stream.holds = True
    client.until(lambda: len(stream.body) >= 65535)
    assert client.ask("GET", "/hello").status == 200
    client.release(stream)
    assert len(client.answer(stream).body) == 5_000_000


def test_what_is_sent_before_a_pause_is_seen(client: Http2) -> None:
    stream = client.request("GET", "/body_later")
    client.until(lambda: bytes(stream.body) == b"first")
    assert stream.status == 200 and not stream.over
    until_page(client, "/held_now", lambda held: held == 1)
    client.ask("POST", "/let")
    assert client.answer(stream).body == b"firstsecond"


# --- the end of one ---


def test_cancelled_request_is_a_disconnect(client: Http2, server: Server) -> None:
    """Both while its body is waited for and when its answer has begun; the others go on."""
    other = client.request("GET", "/number?n=1&ms=300")
    waiting = client.open("POST", "/wait_for_body?token=cancelled")
    begun = client.request("GET", "/until_left?token=cancelled-begun")
    client.until(lambda: bool(begun.body))
    client.cancel(waiting)
    client.cancel(begun)
    assert noted(server, "cancelled") == ["cancelled", "http.disconnect"]
    assert noted(server, "cancelled-begun")[1:] == ["left", "OSError"]
    assert client.answer(other).body == b"1"
    assert client.ask("GET", "/hello").status == 200


def test_cancelled_download_wakes_send(client: Http2, server: Server) -> None:
    stream = client.open("GET", "/send_until_left?token=cancelled-send", end=True)
    stream.holds = True
    client.until(lambda: len(stream.body) >= 65535)
    client.cancel(stream)
    assert noted(server, "cancelled-send")[1] == "left"


def test_hung_up_connection_is_a_disconnect_for_all(server: Server) -> None:
    with connect(server) as client:
        streams = [client.request("GET", f"/until_left?token=hung-{n}") for n in range(5)]
        client.until(lambda: all(stream.body for stream in streams))
    for n in range(5):
        assert noted(server, f"hung-{n}")[1] == "left"


@pytest.mark.parametrize("page", ["/fail", "/fail_held"])
def test_failure_before_the_body_is_a_500(client: Http2, page: str) -> None:
    other = client.request("GET", "/number?n=1&ms=100")
    answer = client.ask("GET", page)
    assert (answer.status, bytes(answer.body)) == (500, b"Internal Server Error")
    assert client.answer(other).status == 200 and not client.goaways


@pytest.mark.parametrize("page", ["/fail_begun?after=5", "/fail_begun?after=300000", "/incomplete"])
def test_failure_within_the_body_resets_the_stream(client: Http2, page: str) -> None:
    """Only so the client knows that the answer is not whole; the connection goes on."""
    other = client.request("GET", "/number?n=1&ms=100")
    stream = client.ask("GET", page)
    assert (stream.status, stream.complete, stream.reset) == (200, False, INTERNAL_ERROR)
    assert client.answer(other).status == 200 and not client.goaways
    assert client.ask("GET", "/hello").status == 200


def test_bodies_that_nobody_gets_are_bounded(server: Server) -> None:
    """A HEAD's answer ends before its application does, which counts as an open stream as long as it has a client."""
    with connect(server) as client:
        for number in range(1, 101):
            assert client.ask("HEAD", "/flow_until_left").status == 200
            assert not client.goaways, number
        assert client.ask("HEAD", "/flow_until_left").reset == REFUSED_STREAM
    with connect(server) as client:
        until_page(client, "/flowing_now", lambda flowing: flowing == 0)


def test_answer_before_the_end_of_a_long_body(client: Http2) -> None:
    """The client is told to leave the rest, without an error (RFC 9113 §8.1)."""
    stream = client.open("POST", "/ignore")
    client.send(stream, bytes(1000))
    client.until(lambda: stream.complete)
    client.until(lambda: stream.reset is not None)
    assert (stream.status, stream.body, stream.reset) == (200, b"ignored", NO_ERROR)
    assert client.ask("GET", "/hello").status == 200


def test_answer_before_the_end_of_a_short_body(client: Http2) -> None:
    """The little that is to come is passed over: some clients take a reset for a failure."""
    stream = client.open("POST", "/ignore", [("content-length", "1000")])
    client.until(lambda: stream.complete)
    client.send(stream, bytes(600))
    client.h2.send_data(stream.number, bytes(400), end_stream=True)
    client.flush()
    assert client.ask("GET", "/hello").status == 200
    assert stream.reset is None


def test_expect_continue(client: Http2) -> None:
    """An application that asks for the body has the client send it; one that does not, does not."""
    fields = [("expect", "100-continue"), ("content-length", "4")]
    stream = client.open("POST", "/echo", fields)
    client.until(lambda: bool(stream.interim))
    assert stream.interim == [100] and not stream.status
    client.send(stream, b"body", end=True)
    assert client.answer(stream).body == b"body"
    ignored = client.open("POST", "/ignore", fields)
    client.until(lambda: ignored.complete)
    assert ignored.interim == []


# --- limits and deadlines ---


def test_too_many_at_once_are_answered_each(shared: Serve, library: str) -> None:
    server = shared("streams:app", library, "--http2", "--limit-concurrency", "3")
    with connect(server) as client:
        held = [client.request("GET", "/number?n=1&ms=300") for _ in range(3)]
        refused = [client.ask("GET", "/hello"), client.ask("POST", "/echo", bytes(200_000))]
        assert [stream.status for stream in refused] == [503, 503]
        assert [client.answer(stream).status for stream in held] == [200] * 3
        assert client.ask("GET", "/hello").status == 200


def test_body_that_does_not_come_is_refused_alone(shared: Serve, library: str) -> None:
    server = shared("streams:app", library, "--http2", "--timeout-request-body", "0.3")
    with connect(server) as client:
        other = client.request("GET", "/number?n=1&ms=600")
        slow = client.open("POST", "/wait_for_body?token=slow-body")
        begun = client.answer(slow)
        assert (begun.status, begun.complete) == (408, True)
        assert noted(server, "slow-body")[1] == "http.disconnect"
        assert client.answer(other).status == 200


def test_answer_that_is_not_taken_is_given_up_alone(shared: Serve, library: str) -> None:
    server = shared("streams:app", library, "--http2", "--timeout-write", "0.4")
    with connect(server) as client:
        for target in ("/send_until_left?token=not-taken", "/download?count=1&size=200000"):
            stream = client.open("GET", target, end=True)
            stream.holds = True
            client.until(lambda stream=stream: len(stream.body) >= 65535)  # type: ignore[misc]
            until(lambda s=stream: client.ask("GET", "/hello").status == 200 and s.over, "the end", 5)  # type: ignore[misc]
            assert stream.reset == CANCEL
        assert noted(server, "not-taken")[1] == "left"
        assert client.ask("GET", "/hello").status == 200


def test_request_timeout_is_of_one_stream(shared: Serve, library: str) -> None:
    server = shared("streams:app", library, "--http2", "--request-timeout", "0.3")
    with connect(server) as client:
        slow = client.request("GET", "/number?n=1&ms=2000")
        fast = client.request("GET", "/number?n=2&ms=10")
        assert client.answer(fast).body == b"2"
        assert client.answer(slow).status == 504
        assert client.ask("GET", "/hello").status == 200


def test_idle_connection_is_told_and_closed(shared: Serve, library: str) -> None:
    """Frames that are not of a request do not keep it; a request at work does."""
    server = shared("streams:app", library, "--http2", "--timeout-keep-alive", "0.5")
    with connect(server) as client:
        assert client.ask("GET", "/number?n=1&ms=900").status == 200
        began = time.monotonic()
        with pytest.raises(Closed):
            while True:
                client.h2.ping(b"12345678")
                client.flush()
                client.poll(0.05)
        assert 0.3 < time.monotonic() - began < 3
        assert client.goaways[-1] == (1, NO_ERROR)


def test_connection_that_never_asks_is_closed(shared: Serve, library: str) -> None:
    server = shared("streams:app", library, "--http2", "--timeout-first-request", "0.3")
    with connect(server) as client:
        client.rest()
        assert client.goaways[-1] == (0, NO_ERROR)


# --- what the server adds ---


def test_health_is_answered_on_its_stream(shared: Serve, library: str) -> None:
    server = shared("streams:app", library, "--http2", "--health-path", "/healthz", "--ready-path", "/readyz")
    with connect(server) as client:
        held = client.request("GET", "/number?n=1&ms=200")
        for path in ("/healthz", "/readyz"):
            answer = client.ask("GET", path)
            assert (answer.status, answer.body) == (200, b"ok\n")
        stream = client.open("POST", "/healthz")
        assert client.answer(stream).status == 405
        assert client.answer(held).status == 200


def test_proxies_and_root_path(shared: Serve, library: str) -> None:
    options = ("--root-path", "/api", "--forwarded-allow-ips", "127.0.0.1")
    server = shared("proxied:app", library, "--http2", *options)
    with connect(server) as client:
        for n in range(3):
            fields = [("x-forwarded-for", f"203.0.113.{n}"), ("x-forwarded-proto", "https")]
            scope = client.ask("GET", "/page", fields=fields).json()
            assert (scope["client"][0], scope["scheme"]) == (f"203.0.113.{n}", "https")
            assert (scope["root_path"], scope["path"]) == ("/api", "/api/page")


def test_access_log_has_a_line_for_each(own: Serve, library: str) -> None:
    server = own("streams:app", library, "--http2", "--access-log-format", "%(U)s %(s)s %(B)s")
    with connect(server) as client:
        streams = [client.request("GET", f"/number?n={n}&ms={9 - n}") for n in range(10)]
        for stream in streams:
            client.answer(stream)
        client.ask("GET", "/fail")
    server.stop()
    lines = sorted(line for line in server.access().splitlines() if line.startswith("/"))
    assert lines == ["/fail 500 21", *["/number 200 1"] * 10]


def test_later_requests_are_served_after_a_recycling_limit(own: Serve, library: str) -> None:
    """At the limit the server stops: it answers what has come, and says which request was the last."""
    server = own("streams:app", library, "--http2", "--limit-max-requests", "5")
    with connect(server) as client:
        streams = [client.request("GET", f"/number?n={n}&ms=50") for n in range(8)]
        for stream in streams:
            client.answer(stream)
        assert [stream.status for stream in streams] == [200] * 8
        client.rest()
        assert client.goaways[-1][1] == NO_ERROR
    assert server.wait() == 0


def test_stop_with_streams_at_work(own: Serve, library: str) -> None:
    """What is at work is answered, and what the client had sent before it knew; then the connection ends in order."""
    server = own("streams:app", library, "--http2")
    with connect(server) as client:
        streams = [client.request("GET", f"/number?n={n}&ms=400") for n in range(20)]
        upload = client.open("POST", "/upload")
        client.ask("GET", "/hello")
        server.send_signal()
        until(lambda: "Shutting down" in server.log(), "the stop")
        client.send(upload, bytes(100_000))
        client.until(lambda: bool(client.goaways))
        assert client.goaways[0] == (2**31 - 1, NO_ERROR)
        client.send(upload, bytes(100_000), end=True)
        for stream in streams:
            assert client.answer(stream).status == 200
        assert client.answer(upload).json()[0] == 200_000
        client.rest()
        assert client.goaways[-1] == (upload.number + 2, NO_ERROR)
    assert server.wait() == 0


def test_stop_takes_what_was_under_way(own: Serve, library: str) -> None:
    """A request that the client sends before the first notice has reached it is served."""
    server = own("streams:app", library, "--http2")
    with connect(server) as client:
        client.ask("GET", "/hello")
        server.send_signal()
        until(lambda: "Shutting down" in server.log(), "the stop")
        assert client.ask("GET", "/hello").status == 200
        client.rest()
        assert client.goaways[-1][1] == NO_ERROR
    assert server.wait() == 0


def test_stop_closes_idle_connections(own: Serve, library: str) -> None:
    server = own("streams:app", library, "--http2", "--timeout-keep-alive", "60")
    with connect(server) as client, connect(server) as fresh:
        client.ask("GET", "/hello")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 4
        client.rest()
        fresh.rest()
        assert client.goaways[-1] == (1, NO_ERROR)
