"""What the applications of the tests share: routes, and one object for an exchange."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

Message = dict[str, Any]
Fields = Iterable[tuple[bytes, bytes]]


class Exchange:
    """A request and its answer."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))

    def number(self, name: str, default: int = 0) -> int:
        """Return a number of the query."""
        return int(self.query.get(name, default))

    async def body(self) -> bytes:
        """Read the whole body."""
        pieces = []
        more = True
        while more:
            message = await self.receive()
            assert message["type"] == "http.request", message
            pieces.append(message["body"])
            more = message["more_body"]
        return b"".join(pieces)

    async def start(self, status: int = 200, fields: Fields = ()) -> None:
        """Send the answer's head."""
        await self.send({"type": "http.response.start", "status": status, "headers": list(fields)})

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """Send a piece of the body."""
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, body: bytes = b"", status: int = 200, fields: Fields = ()) -> None:
        """Answer in one piece, with its length."""
        await self.start(status, [*fields, (b"content-length", b"%d" % len(body))])
        await self.write(body, more=False)

    async def json(self, value: Any) -> None:
        """Answer with a value."""
        await self.answer(json.dumps(value).encode(), 200, [(b"content-type", b"application/json")])


Handler = Callable[[Exchange], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]


def application(routes: dict[str, Handler], lifespan: App | None = None) -> App:
    """Make an application of handlers by path; it refuses the lifespan unless it is given one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" and lifespan is not None:
            await lifespan(scope, receive, send)
            return
        assert scope["type"] == "http", "no other protocol is spoken here"
        exchange = Exchange(scope, receive, send)
        handler = routes.get(scope["path"])
        if handler is None:
            await exchange.answer(b"no such page", 404)
        else:
            await handler(exchange)

    return app


def as_routes(*handlers: Handler) -> dict[str, Handler]:
    """Give every handler the path of its name."""
    return {f"/{handler.__name__}": handler for handler in handlers}  # type: ignore[attr-defined]


def plain(value: Any) -> Any:
    """Turn a scope or a message into what JSON can hold: bytes become ``{"bytes": text}``, tuples lists.

    The objects of extensions become the names of their types.
    """
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    assert type(value).__module__.startswith("tricorn"), value
    return type(value).__name__
