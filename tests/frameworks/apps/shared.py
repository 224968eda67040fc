"""What the applications of the frameworks have in common: their routes' behaviour, apart from any framework.

Every application exposes the same routes; ``T`` is a token that one test made up:

=====================  ==========================================================================
``GET /lifespan``      what start-up left in the state, and the async library that sniffio sees
``POST /json``         the JSON that was sent, back under ``"echo"``
``POST /form``         the fields of a url-encoded form, as JSON
``POST /upload``       of a multipart form: field ``note``, and name, size and hash of ``file``
``POST /stream-in``    size and hash of a body, read piece by piece
``GET /stream-out``    ``count`` pieces of ``size`` bytes, with no length given
``GET /events?token=T``  five server-sent events, each held back until ``POST /release?token=T``
``GET /ticker?token=T``  events without end; notes ``left T`` once the client is gone
``POST /background?token=T``  202, then a task that waits for a release and notes ``done T``
``GET /error?token=T``   an exception before the answer
``GET /error-late?token=T``  an exception in the middle of the answer
``GET /cookies``       303 to ``/landed``, with two cookies
``GET /landed``        the cookies that were sent, as JSON
``GET /page``          ``PAGE``, with its length; HEAD too
``GET /slow?token=T``  no answer for 30 seconds; notes ``came T``, and ``gone T`` once the client is gone
``GET /notes``         everything noted so far, as JSON
=====================  ==========================================================================
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import sniffio

PAGE = b"<!doctype html><title>Tricorn</title><p>" + b"One page. " * 100
GREETING = "ready since start-up"
EVENTS = 5
COOKIES = {"first": "one", "second": "two"}
SLOW = 30.0

notes: list[str] = []
released: Counter[str] = Counter()


async def sleep(seconds: float) -> None:
    """Suspend the calling task by the library that runs it."""
    library = sniffio.current_async_library()
    if library == "asyncio":
        import asyncio

        await asyncio.sleep(seconds)
    elif library == "trio":
        import trio

        await trio.sleep(seconds)
    else:
        import curio

        await curio.sleep(seconds)


def note(text: str) -> None:
    """Keep a note, for ``/notes`` to show."""
    notes.append(text)


def started() -> None:
    """To be called once, when the application starts."""
    note("started")


def stopped() -> None:
    """To be called once, when the application stops: nobody can ask any more, so it tells the log."""
    print("application stopped", file=sys.stderr, flush=True)


def release(token: str) -> None:
    """Let what waits for the token's next release go on."""
    released[token] += 1


async def until_released(token: str, times: int = 1) -> None:
    """Wait until the token was released that many times."""
    while released[token] < times:
        await sleep(0.005)


def lifespan_report(state: Any) -> dict[str, Any]:
    """Return the answer of ``/lifespan``, from the state of the request's scope."""
    return {
        "greeting": state["greeting"],
        "started": notes.count("started"),
        "library": sniffio.current_async_library(),
    }


class Digest:
    """Size and hash of bytes that come in pieces."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def update(self, data: bytes) -> None:
        self.size += len(data)
        self._hash.update(data)

    def report(self, **more: Any) -> dict[str, Any]:
        """Return size and hash, and what else is to be told, as the answer of a route."""
        return {"size": self.size, "sha256": self._hash.hexdigest(), **more}


def digest(data: bytes, **more: Any) -> dict[str, Any]:
    """Return the report on bytes that came in one piece."""
    whole = Digest()
    whole.update(data)
    return whole.report(**more)


def piece(index: int, size: int) -> bytes:
    """Return one piece of the streamed answer."""
    return bytes([index % 251]) * size


async def pieces(count: int, size: int) -> AsyncIterator[bytes]:
    """Yield the pieces of the streamed answer, with a pause now and then."""
    for index in range(count):
        if index % 8 == 7:
            await sleep(0)
        yield piece(index, size)


def event(number: int) -> bytes:
    """Return one server-sent event."""
    return b"id: %d\ndata: event %d\n\n" % (number, number)


async def events(token: str) -> AsyncIterator[bytes]:
    """Yield events, each as soon as the client has asked for it by a release."""
    for number in range(EVENTS):
        await until_released(token, number + 1)
        yield event(number)


async def ticker(token: str) -> AsyncIterator[bytes]:
    """Yield events until the client is gone."""
    number = 0
    try:
        while True:
            yield event(number)
            number += 1
            await sleep(0.02)
    finally:
        note(f"left {token}")


async def background(token: str) -> None:
    """Work on after the answer."""
    await until_released(token)
    note(f"done {token}")


def fail(token: str) -> None:
    """Raise what ``/error`` raises."""
    raise RuntimeError(f"deliberate {token}")


async def broken(token: str) -> AsyncIterator[bytes]:
    """Yield a piece of an answer, then fail."""
    yield b"the first half, "
    await sleep(0.05)
    fail(token)
