"""WSGI applications (PEP 3333) as applications of ASGI, on every async library: they run in threads of Tricorn's own.

A thread wakes the task of its request by a signal of the core, so that no library is asked for threads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from tricorn._core import Signal
from tricorn.wsgi import environ
from tricorn.wsgi.answer import Answer, WsgiApplication
from tricorn.wsgi.call import Call
from tricorn.wsgi.streams import body_stream
from tricorn.wsgi.threads import Threads

__all__ = ["READ_AHEAD", "THREADS", "WSGI"]

THREADS: Final = 32
"""How many threads run applications at most, unless told otherwise."""

READ_AHEAD: Final = 65_536
"""Bytes of a body that are waited for before a thread is taken, so that a slow client does not hold one."""

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class WSGI:
    """An application of ASGI that runs one of WSGI; it can be mounted beside others, under Tricorn only.

    Args:
        app: The WSGI application.
        threads: How many requests run at once; further ones wait their turn, as long as their clients do.
        multiprocess: Whether other processes run the same application.
    """

    def __init__(self, app: WsgiApplication, threads: int = THREADS, *, multiprocess: bool = False) -> None:
        self.app = app
        self.threads = Threads(threads)
        self._multiprocess = multiprocess

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; refuse a WebSocket, and do nothing for a lifespan."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = await _read_ahead(scope, receive)
        if first is None:
            return
        body, more = first
        signal = _signal(scope)
        call = Call(signal, lambda call: self._run(call, scope, body, more))
        call.give(b"", more)
        try:
            await self._follow(call, signal, receive, send)
        finally:
            call.lose()
            signal.close()

    def _run(self, call: Call, scope: Scope, body: bytes, more: bool) -> None:
        """Answer a request, in a thread."""
        stream = body_stream(body, call.pull if more else None)
        about = environ.build(scope, stream, multiprocess=self._multiprocess)
        Answer(call, head=scope["method"] == "HEAD").run(self.app, about)

    async def _follow(self, call: Call, signal: Signal, receive: Receive, send: Send) -> None:
        """Do for a thread what it asks for, until it has ended."""
        self.threads.submit(call)
        failure: Exception | None = None
        in_line = True
        while not call.over:
            if not await signal.wait(in_line) and self.threads.withdraw(call):
                return  # the client has gone before its turn
            in_line = False
            try:
                await _pass_on(call, receive, send)
            except Exception as error:
                failure = failure or error
                call.lose()
        if failure is not None:
            raise failure
        _raise(call)


async def _read_ahead(scope: Scope, receive: Receive) -> tuple[bytes, bool] | None:
    """Return what comes of the body before a thread is taken, and whether more will; ``None`` if the client leaves.

    A body whose length is known is waited for up to :data:`READ_AHEAD`, any other for its first bytes. With
    ``Expect`` the client waits until the application reads.
    """
    names = {name for name, _ in scope["headers"]}
    if b"expect" in names:
        return b"", True
    sized = b"content-length" in names
    if not sized and b"transfer-encoding" not in names and scope["http_version"].startswith("1."):
        return b"", False
    parts: list[bytes] = []
    size, more = 0, True
    while more and size < READ_AHEAD:
        event = await receive()
        if event["type"] != "http.request":
            return None
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        more = event.get("more_body", False)
        if not sized:
            break
    return (parts[0] if len(parts) == 1 else b"".join(parts)), more


async def _pass_on(call: Call, receive: Receive, send: Send) -> None:
    """Send what the thread has put, and receive what it waits for."""
    while (message := call.next_message()) is not None:
        await send(message[0])
        call.sent(message[1])
    if call.wants_body:
        event = await receive()
        if event["type"] == "http.request":
            call.give(event.get("body", b""), event.get("more_body", False))
        else:
            call.lose()


def _raise(call: Call) -> None:
    """Raise what the application has raised; what is no ``Exception`` ends a thread, and no task."""
    error, call.error = call.error, None
    if error is None:
        return
    try:
        if isinstance(error, Exception):
            raise error
        raise RuntimeError(f"the WSGI application raised {type(error).__name__}") from error
    finally:
        del error  # its traceback leads back here


def _signal(scope: Scope) -> Signal:
    """Return a signal of the request that the calling task serves.

    Raises:
        RuntimeError: Another server than Tricorn runs this, or another task than the request's own.
    """
    ours = scope.get("extensions", {}).get("tricorn.cancel_on_disconnect")
    if ours is None:
        raise RuntimeError(
            "tricorn.wsgi.WSGI runs under Tricorn only: take another adapter under other servers"
        )
    signal: Signal = ours.signal()
    return signal
