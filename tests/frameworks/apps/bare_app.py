"""A bare ASGI application: no framework, any async library."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import python_multipart
import shared

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
HTML = (b"content-type", b"text/html; charset=utf-8")
EVENTS = (b"content-type", b"text/event-stream")


class Exchange:
    """A request and its answer, with the few helpers that the routes need."""

    def __init__(
        self,
        scope: Scope,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        self.headers = {bytes(name): bytes(value) for name, value in scope["headers"]}

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body of the request as it comes."""
        more = True
        while more:
            message = await self.receive()
            assert message["type"] == "http.request", message
            more = message.get("more_body", False)
            yield message.get("body", b"")

    async def body(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def start(self, status: int, headers: Headers) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def answer(self, body: bytes, *headers: tuple[bytes, bytes], status: int = 200) -> None:
        """Answer in one piece, with its length."""
        await self.start(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.send({"type": "http.response.body", "body": body})

    async def answer_json(self, value: Any, status: int = 200) -> None:
        await self.answer(json.dumps(value).encode(), JSON, status=status)

    async def stream(self, pieces: AsyncIterator[bytes], *headers: tuple[bytes, bytes]) -> None:
        """Answer piece by piece."""
        await self.start(200, list(headers))
        try:
            async for piece in pieces:
                await self.send({"type": "http.response.body", "body": piece, "more_body": True})
            await self.send({"type": "http.response.body", "body": b""})
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]


async def lifespan_page(exchange: Exchange) -> None:
    await exchange.answer_json(shared.lifespan_report(exchange.scope["state"]))


async def echo_json(exchange: Exchange) -> None:
    await exchange.answer_json({"echo": json.loads(await exchange.body())})


async def form(exchange: Exchange) -> None:
    await exchange.answer_json(dict(parse_qsl((await exchange.body()).decode())))


async def upload(exchange: Exchange) -> None:
    fields: dict[str, str] = {}
    files: list[python_multipart.File] = []
    parser = python_multipart.create_form_parser(
        {"Content-Type": exchange.headers[b"content-type"]},
        lambda field: fields.update({field.field_name.decode(): field.value.decode()}),
        files.append,
    )
    async for piece in exchange.pieces():
        parser.write(piece)
    parser.finalize()
    [file] = files
    file.file_object.seek(0)
    report = shared.digest(file.file_object.read(), name=file.file_name.decode(), **fields)
    parser.close()
    await exchange.answer_json(report)


async def stream_in(exchange: Exchange) -> None:
    digest = shared.Digest()
    async for piece in exchange.pieces():
        digest.update(piece)
    await exchange.answer_json(digest.report())


async def stream_out(exchange: Exchange) -> None:
    await exchange.stream(shared.pieces(int(exchange.query["count"]), int(exchange.query["size"])))


async def events(exchange: Exchange) -> None:
    await exchange.stream(shared.events(exchange.query["token"]), EVENTS)


async def ticker(exchange: Exchange) -> None:
    await exchange.stream(shared.ticker(exchange.query["token"]), EVENTS)


async def release(exchange: Exchange) -> None:
    shared.release(exchange.query["token"])
    await exchange.answer(b"", status=204)


async def background(exchange: Exchange) -> None:
    await exchange.answer_json({"accepted": True}, status=202)
    await shared.background(exchange.query["token"])


async def error(exchange: Exchange) -> None:
    shared.fail(exchange.query["token"])


async def error_late(exchange: Exchange) -> None:
    await exchange.stream(shared.broken(exchange.query["token"]))


async def cookies(exchange: Exchange) -> None:
    fields = [(b"set-cookie", f"{name}={value}; Path=/".encode()) for name, value in shared.COOKIES.items()]
    await exchange.answer(b"", *fields, (b"location", b"/landed"), status=303)


async def landed(exchange: Exchange) -> None:
    pairs = exchange.headers.get(b"cookie", b"").decode().split("; ")
    await exchange.answer_json(dict(pair.split("=", 1) for pair in pairs if pair))


async def page(exchange: Exchange) -> None:
    await exchange.answer(shared.PAGE, HTML)


async def slow(exchange: Exchange) -> None:
    shared.note(f"came {exchange.query['token']}")
    await exchange.body()
    message = await exchange.receive()
    assert message["type"] == "http.disconnect", message
    shared.note(f"gone {exchange.query['token']}")


async def all_notes(exchange: Exchange) -> None:
    await exchange.answer_json(shared.notes)


ROUTES = {
    "/lifespan": lifespan_page,
    "/json": echo_json,
    "/form": form,
    "/upload": upload,
    "/stream-in": stream_in,
    "/stream-out": stream_out,
    "/events": events,
    "/ticker": ticker,
    "/release": release,
    "/background": background,
    "/error": error,
    "/error-late": error_late,
    "/cookies": cookies,
    "/landed": landed,
    "/page": page,
    "/slow": slow,
    "/notes": all_notes,
}


async def lifespan(scope: Scope, receive: Any, send: Any) -> None:
    """Start and stop with the server."""
    assert (await receive())["type"] == "lifespan.startup"
    shared.started()
    scope["state"]["greeting"] = shared.GREETING
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    shared.stopped()
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope: Scope, receive: Any, send: Any) -> None:
    """The application."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    exchange = Exchange(scope, receive, send)
    route = ROUTES.get(scope["path"])
    if route is None:
        await exchange.answer(b"not found", status=404)
    else:
        await route(exchange)
