"""The routes of ``shared`` in Litestar."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import shared
from litestar import HttpMethod, Litestar, MediaType, Request, Response, get, post, route
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.logging import LoggingConfig
from litestar.params import Body
from litestar.response import Redirect, Stream


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    shared.started()
    yield
    shared.stopped()


@get("/lifespan")
async def lifespan_page(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return shared.lifespan_report(request.scope["state"])


@post("/json", status_code=200)
async def echo_json(data: dict[str, Any]) -> dict[str, Any]:
    return {"echo": data}


@post("/form", status_code=200)
async def form(
    data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> dict[str, str]:
    return data


@post("/upload", status_code=200)
async def upload(
    data: Annotated[dict[str, Any], Body(media_type=RequestEncodingType.MULTI_PART)],
) -> dict[str, Any]:
    file: UploadFile = data["file"]
    return shared.digest(await file.read(), name=file.filename, note=data["note"])


@post("/stream-in", status_code=200)
async def stream_in(request: Request[Any, Any, Any]) -> dict[str, Any]:
    digest = shared.Digest()
    async for piece in request.stream():
        digest.update(piece)
    return digest.report()


@get("/stream-out")
async def stream_out(count: int, size: int) -> Stream:
    return Stream(shared.pieces(count, size))


@get("/events")
async def events(token: str) -> Stream:
    return Stream(shared.events(token), media_type="text/event-stream")


@get("/ticker")
async def ticker(token: str) -> Stream:
    return Stream(shared.ticker(token), media_type="text/event-stream")


@post("/release", status_code=204)
async def release(token: str) -> None:
    shared.release(token)


@post("/background", status_code=202)
async def background(token: str) -> Response[dict[str, bool]]:
    return Response({"accepted": True}, background=BackgroundTask(shared.background, token))


@get("/error")
async def error(token: str) -> None:
    shared.fail(token)


@get("/error-late")
async def error_late(token: str) -> Stream:
    return Stream(shared.broken(token))


@get("/cookies", status_code=303)
async def cookies() -> Redirect:
    response = Redirect("/landed", status_code=303)
    for name, value in shared.COOKIES.items():
        response.set_cookie(name, value)
    return response


@get("/landed")
async def landed(request: Request[Any, Any, Any]) -> dict[str, str]:
    return request.cookies


@route("/page", http_method=[HttpMethod.GET, HttpMethod.HEAD], media_type=MediaType.HTML)
async def page() -> bytes:
    return shared.PAGE


@get("/slow")
async def slow(request: Request[Any, Any, Any], token: str) -> None:
    shared.note(f"came {token}")
    while (await request.receive())["type"] != "http.disconnect":
        pass
    shared.note(f"gone {token}")


@get("/notes")
async def all_notes() -> list[str]:
    return shared.notes


_litestar = Litestar(
    [
        lifespan_page,
        echo_json,
        form,
        upload,
        stream_in,
        stream_out,
        events,
        ticker,
        release,
        background,
        error,
        error_late,
        cookies,
        landed,
        page,
        slow,
        all_notes,
    ],
    lifespan=[lifespan],
    logging_config=LoggingConfig(log_exceptions="always", disable_stack_trace={404}),
    request_max_body_size=None,
    openapi_config=None,
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Litestar's application; it keeps a state of its own, so what start-up leaves is put there by hand."""
    if scope["type"] == "lifespan":
        scope["state"]["greeting"] = shared.GREETING
    await _litestar(scope, receive, send)
