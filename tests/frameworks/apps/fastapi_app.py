"""The routes of ``shared`` in FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import shared
from fastapi import BackgroundTasks, Body, FastAPI, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    shared.started()
    yield {"greeting": shared.GREETING}
    shared.stopped()


app = FastAPI(lifespan=lifespan)


@app.get("/lifespan")
async def lifespan_page(request: Request) -> dict[str, Any]:
    return shared.lifespan_report({"greeting": request.state.greeting})


@app.post("/json")
async def echo_json(value: Annotated[Any, Body()]) -> dict[str, Any]:
    return {"echo": value}


@app.post("/form")
async def form(request: Request) -> dict[str, Any]:
    async with request.form() as fields:
        return dict(fields)


@app.post("/upload")
async def upload(file: UploadFile, note: Annotated[str, Form()]) -> dict[str, Any]:
    return shared.digest(await file.read(), name=file.filename, note=note)


@app.post("/stream-in")
async def stream_in(request: Request) -> dict[str, Any]:
    digest = shared.Digest()
    async for piece in request.stream():
        digest.update(piece)
    return digest.report()


@app.get("/stream-out")
async def stream_out(count: int, size: int) -> Response:
    return StreamingResponse(shared.pieces(count, size))


@app.get("/events")
async def events(token: str) -> Response:
    return StreamingResponse(shared.events(token), media_type="text/event-stream")


@app.get("/ticker")
async def ticker(token: str) -> Response:
    return StreamingResponse(shared.ticker(token), media_type="text/event-stream")


@app.post("/release", status_code=204)
async def release(token: str) -> None:
    shared.release(token)


@app.post("/background", status_code=202)
async def background(token: str, tasks: BackgroundTasks) -> dict[str, bool]:
    tasks.add_task(shared.background, token)
    return {"accepted": True}


@app.get("/error")
async def error(token: str) -> None:
    shared.fail(token)


@app.get("/error-late")
async def error_late(token: str) -> Response:
    return StreamingResponse(shared.broken(token))


@app.get("/cookies")
async def cookies() -> Response:
    response = RedirectResponse("/landed", status_code=303)
    for name, value in shared.COOKIES.items():
        response.set_cookie(name, value)
    return response


@app.get("/landed")
async def landed(request: Request) -> dict[str, str]:
    return request.cookies


@app.api_route("/page", methods=["GET", "HEAD"])
async def page() -> Response:
    return HTMLResponse(shared.PAGE)


@app.get("/slow")
async def slow(request: Request, token: str) -> None:
    shared.note(f"came {token}")
    while not await request.is_disconnected():
        await shared.sleep(0.02)
    shared.note(f"gone {token}")


@app.get("/notes")
async def all_notes() -> list[str]:
    return shared.notes
