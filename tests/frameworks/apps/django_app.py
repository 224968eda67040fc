"""The routes of ``shared`` in Django, with a lifespan around it, which Django has not.

``plain`` is the application as Django makes it: it raises on the lifespan scope.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import shared
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"class": "logging.StreamHandler"}},
        "loggers": {"django.request": {"handlers": ["stderr"], "level": "ERROR", "propagate": False}},
    },
)

tasks: set[asyncio.Task[None]] = set()


async def lifespan_page(request: HttpRequest) -> HttpResponse:
    return JsonResponse(shared.lifespan_report(request.scope["state"]))


async def echo_json(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"echo": json.loads(request.body)})


async def form(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.POST.dict())


async def upload(request: HttpRequest) -> HttpResponse:
    if "CONTENT_LENGTH" not in request.META:
        # Of a chunked body Django parses only as much as a length says.
        request.META["CONTENT_LENGTH"] = str(len(request.body))
    file = request.FILES["file"]
    digest = shared.Digest()
    for piece in file.chunks():
        digest.update(piece)
    return JsonResponse(digest.report(name=file.name, note=request.POST["note"]))


async def stream_in(request: HttpRequest) -> HttpResponse:
    digest = shared.Digest()
    while piece := request.read(65536):
        digest.update(piece)
    return JsonResponse(digest.report())


async def stream_out(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(shared.pieces(int(request.GET["count"]), int(request.GET["size"])))


async def events(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(shared.events(request.GET["token"]), content_type="text/event-stream")


async def ticker(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(shared.ticker(request.GET["token"]), content_type="text/event-stream")


async def release(request: HttpRequest) -> HttpResponse:
    shared.release(request.GET["token"])
    return HttpResponse(status=204)


async def background(request: HttpRequest) -> HttpResponse:
    task = asyncio.create_task(shared.background(request.GET["token"]))
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return JsonResponse({"accepted": True}, status=202)


async def error(request: HttpRequest) -> HttpResponse:
    shared.fail(request.GET["token"])
    return HttpResponse()


async def error_late(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(shared.broken(request.GET["token"]))


async def cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponseRedirect("/landed", status=303)
    for name, value in shared.COOKIES.items():
        response.set_cookie(name, value)
    return response


async def landed(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.COOKIES)


async def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(shared.PAGE, headers={"Content-Length": len(shared.PAGE)})


async def slow(request: HttpRequest) -> HttpResponse:
    token = request.GET["token"]
    shared.note(f"came {token}")
    try:
        await shared.sleep(shared.SLOW)
    finally:
        shared.note(f"gone {token}")
    return HttpResponse()


async def all_notes(request: HttpRequest) -> HttpResponse:
    return JsonResponse(shared.notes, safe=False)


urlpatterns = [
    path("lifespan", lifespan_page),
    path("json", csrf_exempt(echo_json)),
    path("form", csrf_exempt(form)),
    path("upload", csrf_exempt(upload)),
    path("stream-in", csrf_exempt(stream_in)),
    path("stream-out", stream_out),
    path("events", events),
    path("ticker", ticker),
    path("release", csrf_exempt(release)),
    path("background", csrf_exempt(background)),
    path("error", error),
    path("error-late", error_late),
    path("cookies", cookies),
    path("landed", landed),
    path("page", page),
    path("slow", slow),
    path("notes", all_notes),
]

plain = get_asgi_application()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Django's application, with a lifespan."""
    if scope["type"] != "lifespan":
        await plain(scope, receive, send)
        return
    assert (await receive())["type"] == "lifespan.startup"
    shared.started()
    scope["state"]["greeting"] = shared.GREETING
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    shared.stopped()
    await send({"type": "lifespan.shutdown.complete"})
