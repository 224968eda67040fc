"""Frameworks over HTTP/2: what they do over HTTP/1.1, and what many streams on a connection add to it."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator

import pytest
import test_frameworks
from http2_client import CANCEL, Http2, Stream
from serving import APPS, STACKS, TIMEOUT, Identity, Site
from test_frameworks import EVENTS, sha256

from tricorn import versions

pytestmark = pytest.mark.skipif(
    not (versions.has_tls() and versions.has_http2()), reason="TLS or HTTP/2 is not built in"
)

WHOLE = ("bare", "starlette", "fastapi", "quart_trio")
"""Those that run on every library that they can run on; of the others one library must do."""
LEFT_OUT = {
    "test_an_answer_streamed_to_a_client_of_http_1_0": "is of another version",
    "test_a_burst_from_wrk_has_no_errors": "wrk does not speak HTTP/2; test_http2_clients.py has h2load",
}
five_megabytes = test_frameworks.five_megabytes


def stacks() -> Iterator[tuple[str, str]]:
    """Yield the pairs of framework and library."""
    for framework, libraries in STACKS.items():
        for library in libraries if framework in WHOLE else libraries[-1:]:
            yield framework, library


@pytest.fixture(scope="module", params=[pytest.param(stack, id="-".join(stack)) for stack in stacks()])
def site(
    request: pytest.FixtureRequest, identity: Identity, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """One application on one library, whose clients speak HTTP/2."""
    framework, library = request.param
    directory = tmp_path_factory.mktemp(f"http2-{framework}-{library}")
    with Site(f"{framework}_app:app", library, APPS, directory, identity=identity, http2=True) as site:
        yield site


@pytest.fixture
def peer(site: Site) -> Iterator[Http2]:
    """A connection."""
    with dial(site) as opened:
        yield opened


def dial(site: Site) -> Http2:
    """Open a connection to a site."""
    context = site.trust()
    assert context is not None
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(("127.0.0.1", site.port), TIMEOUT)
    connection = context.wrap_socket(plain, server_hostname="localhost")
    assert connection.selected_alpn_protocol() == "h2"
    return Http2(connection, scheme="https", authority=f"127.0.0.1:{site.port}")


def pieces(count: int, size: int) -> bytes:
    """Return what ``/stream-out`` answers."""
    return b"".join(bytes([index % 251]) * size for index in range(count))


def multipart(content: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """Return the fields and the body that upload a file with a note."""
    part = 'Content-Disposition: form-data; name="{}"\r\n\r\n'
    file = 'file"; filename="five.bin"\r\nContent-Type: "application/octet-stream'
    head = f"--cut\r\n{part.format('note')}five\r\n--cut\r\n{part.format(file)}"
    body = head.encode() + content + b"\r\n--cut--\r\n"
    fields = [("content-type", "multipart/form-data; boundary=cut"), ("content-length", str(len(body)))]
    return fields, body


def good(stream: Stream) -> bytes:
    """Return the body of a whole, good answer."""
    assert (stream.status, stream.complete, stream.reset) == (200, True, None), stream
    return bytes(stream.body)


# --- many streams


def test_streams_of_every_size_at_once(peer: Http2) -> None:
    """Sixty requests stand open at the same time; each gets its own answer, whatever the others are waiting for."""
    shapes = [(count, size) for count in (1, 7, 40) for size in (1, 100, 9_000, 40_000)] * 5
    streams = [peer.request("GET", f"/stream-out?count={count}&size={size}") for count, size in shapes]
    peer.until(lambda: all(stream.over for stream in streams))
    for stream, shape in zip(streams, shapes, strict=True):
        assert good(stream) == pieces(*shape)


def test_uploads_at_once_in_turns(peer: Http2) -> None:
    """Twenty bodies come in turns, a small frame of each."""
    bodies = [hashlib.shake_256(bytes([number])).digest(500 + 150 * number) for number in range(20)]
    streams = [peer.open("POST", "/stream-in") for _ in bodies]
    for at in range(0, max(map(len, bodies)), 100):
        for stream, body in zip(streams, bodies, strict=True):
            if at < len(body):
                peer.send(stream, body[at : at + 100], end=at + 100 >= len(body))
    for stream, body in zip(streams, bodies, strict=True):
        answer = json.loads(good(peer.answer(stream)))
        assert answer == {"size": len(body), "sha256": sha256(body)}


def test_slow_upload_beside_others(peer: Http2) -> None:
    content = hashlib.shake_256(b"slow").digest(30_000)
    fields, body = multipart(content)
    slow = peer.open("POST", "/upload", fields)
    for at in range(0, len(body), 5_000):
        peer.send(slow, body[at : at + 5_000], end=at + 5_000 >= len(body))
        assert good(peer.ask("GET", "/page"))
        time.sleep(0.02)
    report = json.loads(good(peer.answer(slow)))
    assert report == {"size": 30_000, "sha256": sha256(content), "name": "five.bin", "note": "five"}


def test_large_uploads_at_once(peer: Http2) -> None:
    """Each is far larger than a window."""
    content = hashlib.shake_256(b"large").digest(1_000_000)
    fields, body = multipart(content)
    streams = [peer.open("POST", "/upload", fields) for _ in range(3)]
    for stream in streams:
        peer.send(stream, body, end=True)
    for stream in streams:
        assert json.loads(good(peer.answer(stream)))["sha256"] == sha256(content)


def test_events_and_what_releases_them_share_a_connection(site: Site, peer: Http2) -> None:
    token = site.token()
    stream = peer.request("GET", f"/events?token={token}")
    for number in range(EVENTS):
        assert peer.ask("POST", f"/release?token={token}").status == 204
        event = f"id: {number}\ndata: event {number}\n\n".encode()
        peer.until(lambda event=event: stream.body.endswith(event))
    assert good(peer.answer(stream)).count(b"data:") == EVENTS


# --- streams that end early


def test_events_that_are_given_up_are_noticed(site: Site, peer: Http2) -> None:
    """The connection goes on, and so do its other streams."""
    token, other = site.token(), site.token()
    left = peer.request("GET", f"/ticker?token={token}")
    kept = peer.request("GET", f"/ticker?token={other}")
    peer.until(lambda: left.body.count(b"data:") > 1 and kept.body.count(b"data:") > 1)
    peer.cancel(left)
    site.until_noted(f"left {token}")
    more = kept.body.count(b"data:") + 2
    peer.until(lambda: kept.body.count(b"data:") >= more)
    assert f"left {other}" not in site.notes()
    peer.close()
    site.until_noted(f"left {other}")


def test_slow_handler_that_is_given_up_notices(site: Site, peer: Http2) -> None:
    token = site.token()
    stream = peer.request("GET", f"/slow?token={token}")
    site.until_noted(f"came {token}")
    peer.cancel(stream, CANCEL)
    site.until_noted(f"gone {token}")
    assert good(peer.ask("GET", "/page"))


def test_answers_that_nobody_reads_do_not_stand_in_the_way(peer: Http2) -> None:
    """A stream whose window is shut waits; when it is given up, what waited goes with it."""
    held = peer.open("GET", "/stream-out?count=200&size=100000", end=True)
    held.holds = True
    peer.until(lambda: len(held.body) >= 65_535)
    for _ in range(3):
        assert good(peer.ask("GET", "/stream-out?count=30&size=10000")) == pieces(30, 10_000)
    peer.cancel(held)
    assert good(peer.ask("GET", "/page"))


def test_background_task_outlives_its_stream(site: Site, peer: Http2) -> None:
    token = site.token()
    stream = peer.ask("POST", f"/background?token={token}")
    assert (stream.status, stream.complete) == (202, True)
    assert f"done {token}" not in site.notes()
    assert peer.ask("POST", f"/release?token={token}").status == 204
    site.until_noted(f"done {token}")


def test_trailers_of_a_request_are_no_matter(peer: Http2) -> None:
    stream = peer.open("POST", "/json", [("content-type", "application/json")])
    peer.send(stream, b'{"text": "before"}')
    peer.h2.send_headers(stream.number, [("x-checksum", "ignored")], end_stream=True)
    peer.flush()
    assert json.loads(good(peer.answer(stream))) == {"echo": {"text": "before"}}


# The scenarios of every framework; their last test stops the server.
globals().update(
    {
        name: test
        for name, test in vars(test_frameworks).items()
        if name.startswith("test_") and name not in LEFT_OUT
    }
)
