"""The answer of a WSGI application (PEP 3333), in the thread that runs it: calls in, messages of ASGI out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final

from tricorn.wsgi.call import Call, Message

_logger = logging.getLogger("tricorn.error")

# RFC 9110 §7.6.1, and those that RFC 2616 §13.5.1 had, which PEP 3333 refers to.
HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
WsgiApplication = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Answer:
    """One answer.

    Args:
        call: Takes the messages.
        head: Whether the request is a HEAD, whose answer has no body.
    """

    def __init__(self, call: Call, *, head: bool) -> None:
        self._call = call
        self._is_head = head
        self._start: Message | None = None
        self._started = False
        self._complete = False
        self._left: int | None = None  # bytes of the body, where the application has said how many
        self._told = False

    def run(self, app: WsgiApplication, environ: Environ) -> None:
        """Call the application and send what it returns; raises what it raises."""
        parts = app(environ, self.start_response)
        if parts is None:
            raise TypeError("the WSGI application returned None, not an iterable of bytes")
        try:
            if isinstance(parts, (list, tuple)):
                self._send_all(parts)
            else:
                self._send_each(parts)
            self._finish()
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], None]:
        """See PEP 3333: keep status and fields until the first bytes of the body; return ``write()``.

        Raises:
            RuntimeError: It was called before, and there is no ``exc_info``.
            TypeError, ValueError: Something is not what PEP 3333 allows.
            BaseException: That of ``exc_info``, if the head has been sent already.
        """
        if exc_info is not None:
            try:
                if self._started:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # its traceback leads back here
        elif self._start is not None:
            raise RuntimeError("start_response() was called already, and there is no exc_info")
        fields = [_field(name, value) for name, value in headers]
        self._left = _content_length(headers)
        self._start = {"type": "http.response.start", "status": _status(status), "headers": fields}
        return self.write

    def write(self, data: bytes, /) -> None:
        """Send bytes before those of the iterable; wait while the client is slow."""
        self._send(data, last=False)

    def _send_all(self, parts: list[bytes] | tuple[bytes, ...]) -> None:
        """Send parts of which the last one is known."""
        for number, part in enumerate(parts, 1):
            self._send(part, last=number == len(parts))

    def _send_each(self, parts: Iterable[bytes]) -> None:
        """Send parts as they come, to the end, so that what follows the last is done; to a HEAD only the first."""
        for part in parts:
            self._send(part, last=False)
            if self._is_head and self._started:
                return

    def _send(self, part: bytes, *, last: bool) -> None:
        if not isinstance(part, bytes):
            raise TypeError(f"a WSGI application answers with bytes, not with {type(part).__name__}")
        if self._left is not None and not self._is_head:
            part = self._cut(part)
            last = last or (self._left == 0 and part != b"")
        if self._complete or (not part and not last):
            return
        body = {"type": "http.response.body", "body": part, "more_body": not last}
        if self._started:
            self._call.put(body)
        else:
            self._call.put(self._head(), body)
        self._started = True
        self._complete = last

    def _cut(self, part: bytes) -> bytes:
        """Leave out what is more than the application's own Content-Length."""
        assert self._left is not None
        if len(part) > self._left and not self._told:
            self._told = True
            _logger.error("The WSGI application sends more than its Content-Length; the rest is left out.")
        part = part[: self._left]
        self._left -= len(part)
        return part

    def _head(self) -> Message:
        if self._start is None:
            raise RuntimeError("the WSGI application has not called start_response()")
        return self._start

    def _finish(self) -> None:
        """End the body, and begin the answer where there was none."""
        if not self._complete:
            self._left = None  # what is missing is for the server to notice
            self._send(b"", last=True)


def _status(status: str) -> int:
    """Return the number of a status such as ``"200 OK"``."""
    if not isinstance(status, str):
        raise TypeError(f"the status must be a str such as '200 OK', not {type(status).__name__}")
    code, _, _ = status.partition(" ")
    if len(code) != 3 or not code.isascii() or not code.isdigit() or code < "200":
        raise ValueError(f"the status must be of the form '200 OK', not {status!r}")
    return int(code)


def _field(name: str, value: str) -> tuple[bytes, bytes]:
    """Return a field as ASGI has it."""
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"a field's name and value must be str, not {name!r}: {value!r}")
    if name.lower() in HOP_BY_HOP:
        raise ValueError(f"the field {name!r} is hop-by-hop, which is for the server to send")
    return name.encode("latin-1"), value.encode("latin-1")


def _content_length(headers: list[tuple[str, str]]) -> int | None:
    """Return what the fields say of the body's length."""
    for name, value in headers:
        if name.lower() == "content-length":
            if not (value.isascii() and value.isdigit()):
                raise ValueError(f"the Content-Length must be a number, not {value!r}")
            return int(value)
    return None
