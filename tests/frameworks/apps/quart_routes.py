"""The routes of ``shared`` for Quart and for Quart-Trio."""

from __future__ import annotations

from typing import Any

import shared
from quart import Blueprint, Quart, Response, current_app, jsonify, redirect, request

routes = Blueprint("routes", __name__)


def install(app: Quart) -> None:
    """Give an application the routes and the lifespan.

    Quart has no way to put something into the state of the lifespan, so a middleware does.
    """
    app.register_blueprint(routes)
    app.before_serving(_start)
    app.after_serving(_stop)
    inner = app.asgi_app

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["greeting"] = shared.GREETING
        await inner(scope, receive, send)

    app.asgi_app = with_state


async def _start() -> None:
    shared.started()


async def _stop() -> None:
    shared.stopped()


def _stream(pieces: Any, mimetype: str = "application/octet-stream") -> Response:
    response = Response(pieces, mimetype=mimetype)
    response.timeout = None
    return response


@routes.get("/lifespan")
async def lifespan_page() -> dict[str, Any]:
    return shared.lifespan_report(request.scope["state"])


@routes.post("/json")
async def echo_json() -> dict[str, Any]:
    return {"echo": await request.get_json()}


@routes.post("/form")
async def form() -> dict[str, Any]:
    return (await request.form).to_dict()


@routes.post("/upload")
async def upload() -> dict[str, Any]:
    file = (await request.files)["file"]
    return shared.digest(file.read(), name=file.filename, note=(await request.form)["note"])


@routes.post("/stream-in")
async def stream_in() -> dict[str, Any]:
    digest = shared.Digest()
    async for piece in request.body:
        digest.update(piece)
    return digest.report()


@routes.get("/stream-out")
async def stream_out() -> Response:
    return _stream(shared.pieces(int(request.args["count"]), int(request.args["size"])))


@routes.get("/events")
async def events() -> Response:
    return _stream(shared.events(request.args["token"]), "text/event-stream")


@routes.get("/ticker")
async def ticker() -> Response:
    return _stream(shared.ticker(request.args["token"]), "text/event-stream")


@routes.post("/release")
async def release() -> tuple[str, int]:
    shared.release(request.args["token"])
    return "", 204


@routes.post("/background")
async def background() -> tuple[dict[str, bool], int]:
    current_app.add_background_task(shared.background, request.args["token"])
    return {"accepted": True}, 202


@routes.get("/error")
async def error() -> str:
    shared.fail(request.args["token"])
    return ""


@routes.get("/error-late")
async def error_late() -> Response:
    return _stream(shared.broken(request.args["token"]))


@routes.get("/cookies")
async def cookies() -> Any:
    response = redirect("/landed", code=303)
    for name, value in shared.COOKIES.items():
        response.set_cookie(name, value)
    return response


@routes.get("/landed")
async def landed() -> dict[str, str]:
    return request.cookies.to_dict()


@routes.get("/page")
async def page() -> Response:
    return Response(shared.PAGE, mimetype="text/html")


@routes.get("/slow")
async def slow() -> str:
    token = request.args["token"]
    shared.note(f"came {token}")
    try:
        await shared.sleep(shared.SLOW)
    finally:
        shared.note(f"gone {token}")
    return ""


@routes.get("/notes")
async def all_notes() -> Response:
    return jsonify(shared.notes)
