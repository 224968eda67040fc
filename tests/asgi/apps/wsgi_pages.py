"""WSGI applications: one page for each thing that PEP 3333 says, checked by the standard library's own validator."""

from __future__ import annotations

import contextvars
import hashlib
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs
from wsgiref.validate import validator

from tricorn.wsgi import WSGI

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]

notes: list[str] = []
gate = threading.Event()
most = [0, 0]  # at work now, and at most
lock = threading.Lock()
seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


def text(start: Start, body: bytes, status: str = "200 OK", **fields: str) -> list[bytes]:
    """Answer with a text."""
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start(status, headers + [(name.replace("_", "-"), value) for name, value in fields.items()])
    return [body]


class Noted:
    """An iterable that notes its end."""

    def __init__(self, name: str, parts: Iterator[bytes]) -> None:
        self.name = name
        self.parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return self.parts

    def close(self) -> None:
        """Note it."""
        notes.append(f"closed {self.name}")


def hello(environ: Environ, start: Start) -> Any:
    return text(start, b"Hello, world!")


def environ_page(environ: Environ, start: Start) -> Any:
    shown = {key: value for key, value in environ.items() if isinstance(value, (str, bool))}
    return text(start, json.dumps(shown).encode())


def echo(environ: Environ, start: Start) -> Any:
    return text(start, environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))


def upload(environ: Environ, start: Start) -> Any:
    """Read a body of any length in pieces; answer with its size and digest."""
    digest, size = hashlib.sha256(), 0
    while data := environ["wsgi.input"].read(50_000):
        digest.update(data)
        size += len(data)
    return text(start, json.dumps([size, digest.hexdigest()]).encode())


def lines(environ: Environ, start: Start) -> Any:
    """Read a body by each of the ways to read lines."""
    stream = environ["wsgi.input"]
    found = [stream.readline(), stream.readline(), *stream.readlines(1), *iter(stream)]
    return text(start, json.dumps([line.decode() for line in found]).encode())


def download(environ: Environ, start: Start) -> Any:
    """Answer with ``count`` pieces of ``size`` bytes."""
    query = parse_qs(environ["QUERY_STRING"])
    count, size = int(query["count"][0]), int(query["size"][0])
    start("200 OK", [("Content-Type", "application/octet-stream")])

    def parts() -> Iterator[bytes]:
        for number in range(count):
            most[1] = number
            yield bytes([number % 251]) * size

    return Noted("download", parts())


def written(environ: Environ, start: Start) -> Any:
    write = start("201 Created", [("Content-Type", "text/plain")])
    write(b"one ")
    write(b"two ")
    return [b"three ", b"", b"four"]


def talk(environ: Environ, start: Start) -> Any:
    """Answer each line of the request as it comes."""
    start("200 OK", [("Content-Type", "text/plain")])
    return Noted("talk", (b"got " + line for line in iter(environ["wsgi.input"].readline, b"")))


def late(environ: Environ, start: Start) -> Any:
    """Call start_response when the first part is asked for, after an empty one."""

    def parts() -> Iterator[bytes]:
        yield b""
        start("200 OK", [("Content-Type", "text/plain")])
        yield b"late"

    return parts()


def replaced(environ: Environ, start: Start) -> Any:
    """Fail after start_response, and say so in another."""
    start("200 OK", [("Content-Type", "text/plain"), ("X-First", "yes")])
    try:
        raise ValueError("on purpose")
    except ValueError:
        start("500 Oh", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"replaced"]


def too_late(environ: Environ, start: Start) -> Any:
    """Fail when the head has gone: the exception comes back."""

    def parts() -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        yield b"begun"
        try:
            raise ValueError("in the midst")
        except ValueError:
            start("500 Oh", [("Content-Type", "text/plain")], sys.exc_info())
        yield b"never"

    return Noted("too_late", parts())


def fail(environ: Environ, start: Start) -> Any:
    raise ValueError("on purpose")


def leave(environ: Environ, start: Start) -> Any:
    sys.exit("on purpose")


def stream_ends(environ: Environ, start: Start) -> Any:
    """Go on for ever, until the client has left."""
    start("200 OK", [("Content-Type", "text/plain")])

    def parts() -> Iterator[bytes]:
        while True:
            yield b"x" * 10_000
            time.sleep(0.001)

    return Noted("stream", parts())


def wait(environ: Environ, start: Start) -> Any:
    """Block until the gate opens."""
    with lock:
        most[0] += 1
        most[1] = max(most)
    gate.wait(20)
    with lock:
        most[0] -= 1
    return text(start, b"waited")


def snooze(environ: Environ, start: Start) -> Any:
    """Block for a moment."""
    with lock:
        most[0] += 1
        most[1] = max(most)
    time.sleep(0.01)
    with lock:
        most[0] -= 1
    notes.append("snoozed")
    return text(start, b"snoozed")


def stuck(environ: Environ, start: Start) -> Any:
    """Block for good."""
    notes.append("stuck")
    time.sleep(1000)
    return text(start, b"never")


def release(environ: Environ, start: Start) -> Any:
    gate.set()
    return text(start, b"released")


def noted(environ: Environ, start: Start) -> Any:
    return text(start, json.dumps([notes, most]).encode())


def file(environ: Environ, start: Start) -> Any:
    """Answer with a file by the server's wrapper."""
    body = io.BytesIO(bytes(range(256)) * 1000)
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](body, 1000)


def log(environ: Environ, start: Start) -> Any:
    print("a line for the log", file=environ["wsgi.errors"])
    environ["wsgi.errors"].writelines(["two ", "parts\n"])
    environ["wsgi.errors"].flush()
    return text(start, b"logged")


def context(environ: Environ, start: Start) -> Any:
    """Leave a context variable behind; the next request must not see it."""
    before = seen.get()
    seen.set("something")
    return text(start, f"{before} {threading.current_thread().name}".encode())


def empty(environ: Environ, start: Start) -> Any:
    start("204 No Content", [])
    return []


def unmodified(environ: Environ, start: Start) -> Any:
    start("304 Not Modified", [("ETag", '"a"')])
    return []


PAGES: dict[str, Callable[[Environ, Start], Any]] = {
    "/hello": hello,
    "/echo": echo,
    "/upload": upload,
    "/lines": lines,
    "/download": download,
    "/written": written,
    "/talk": talk,
    "/replaced": replaced,
    "/too_late": too_late,
    "/late": late,
    "/fail": fail,
    "/leave": leave,
    "/stream": stream_ends,
    "/wait": wait,
    "/snooze": snooze,
    "/stuck": stuck,
    "/release": release,
    "/noted": noted,
    "/file": file,
    "/log": log,
    "/context": context,
    "/empty": empty,
    "/unmodified": unmodified,
}


def plain(environ: Environ, start: Start) -> Any:
    """Serve a page; any other shows its environ."""
    return PAGES.get(environ["PATH_INFO"], environ_page)(environ, start)


_checking = validator(plain)


def checked(environ: Environ, start: Start) -> Any:
    """The same, with every step of server and application checked."""
    return _checking(environ, start)


# What the validator does not let through.


def none(environ: Environ, start: Start) -> Any:
    start("200 OK", [])


def no_start(environ: Environ, start: Start) -> Any:
    return [b"body"]


def words(environ: Environ, start: Start) -> Any:
    start("200 OK", [])
    return ["not bytes"]


def hop(environ: Environ, start: Start) -> Any:
    start("200 OK", [("Connection", "close")])
    return [b"body"]


def status(environ: Environ, start: Start) -> Any:
    start("OK", [])
    return [b"body"]


def number(environ: Environ, start: Start) -> Any:
    start(200, [])
    return [b"body"]


def pairs(environ: Environ, start: Start) -> Any:
    start("200 OK", [("X-A", 1)])
    return [b"body"]


def length(environ: Environ, start: Start) -> Any:
    start("200 OK", [("Content-Length", "some")])
    return [b"body"]


def injected(environ: Environ, start: Start) -> Any:
    start("200 OK", [("X-A", "a\r\nX-B: b")])
    return [b"body"]


def twice(environ: Environ, start: Start) -> Any:
    start("200 OK", [])
    start("200 OK", [])
    return [b"body"]


def too_much(environ: Environ, start: Start) -> Any:
    start("200 OK", [("Content-Length", "4")])
    return iter([b"bo", b"", b"dy and", b"more"])


def too_little(environ: Environ, start: Start) -> Any:
    start("200 OK", [("Content-Length", "10")])
    return iter([b"body"])


WRONG = {
    f"/{page.__name__}": page
    for page in (
        none,
        no_start,
        words,
        hop,
        status,
        number,
        pairs,
        length,
        injected,
        twice,
        too_much,
        too_little,
    )
}


def wrong(environ: Environ, start: Start) -> Any:
    """Do what PEP 3333 forbids."""
    return WRONG.get(environ["PATH_INFO"], hello)(environ, start)


mounted = WSGI(plain, threads=1)


async def beside(scope: Any, receive: Any, send: Any) -> None:
    """An application of ASGI with one of WSGI below ``/old``, which has one thread."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["path"].startswith("/old"):
        await mounted({**scope, "root_path": scope["root_path"] + "/old"}, receive, send)
    else:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"new"})
