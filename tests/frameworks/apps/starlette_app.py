"""The routes of ``shared`` in Starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import shared
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
    shared.started()
    yield {"greeting": shared.GREETING}
    shared.stopped()


async def lifespan_page(request: Request) -> Response:
    return JSONResponse(shared.lifespan_report({"greeting": request.state.greeting}))


async def echo_json(request: Request) -> Response:
    return JSONResponse({"echo": await request.json()})


async def form(request: Request) -> Response:
    async with request.form() as fields:
        return JSONResponse(dict(fields))


async def upload(request: Request) -> Response:
    async with request.form() as fields:
        file = fields["file"]
        return JSONResponse(shared.digest(await file.read(), name=file.filename, note=fields["note"]))


async def stream_in(request: Request) -> Response:
    digest = shared.Digest()
    async for piece in request.stream():
        digest.update(piece)
    return JSONResponse(digest.report())


async def stream_out(request: Request) -> Response:
    query = request.query_params
    return StreamingResponse(shared.pieces(int(query["count"]), int(query["size"])))


async def events(request: Request) -> Response:
    return StreamingResponse(shared.events(request.query_params["token"]), media_type="text/event-stream")


async def ticker(request: Request) -> Response:
    return StreamingResponse(shared.ticker(request.query_params["token"]), media_type="text/event-stream")


async def release(request: Request) -> Response:
    shared.release(request.query_params["token"])
    return Response(status_code=204)


async def background(request: Request) -> Response:
    task = BackgroundTask(shared.background, request.query_params["token"])
    return JSONResponse({"accepted": True}, status_code=202, background=task)


async def error(request: Request) -> Response:
    shared.fail(request.query_params["token"])
    return Response()


async def error_late(request: Request) -> Response:
    return StreamingResponse(shared.broken(request.query_params["token"]))


async def cookies(request: Request) -> Response:
    response = RedirectResponse("/landed", status_code=303)
    for name, value in shared.COOKIES.items():
        response.set_cookie(name, value)
    return response


async def landed(request: Request) -> Response:
    return JSONResponse(request.cookies)


async def page(request: Request) -> Response:
    return HTMLResponse(shared.PAGE)


async def slow(request: Request) -> Response:
    shared.note(f"came {request.query_params['token']}")
    while not await request.is_disconnected():
        await shared.sleep(0.02)
    shared.note(f"gone {request.query_params['token']}")
    return Response()


async def all_notes(request: Request) -> Response:
    return JSONResponse(shared.notes)


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/lifespan", lifespan_page),
        Route("/json", echo_json, methods=["POST"]),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream-in", stream_in, methods=["POST"]),
        Route("/stream-out", stream_out),
        Route("/events", events),
        Route("/ticker", ticker),
        Route("/release", release, methods=["POST"]),
        Route("/background", background, methods=["POST"]),
        Route("/error", error),
        Route("/error-late", error_late),
        Route("/cookies", cookies),
        Route("/landed", landed),
        Route("/page", page),
        Route("/slow", slow),
        Route("/notes", all_notes),
    ],
)
