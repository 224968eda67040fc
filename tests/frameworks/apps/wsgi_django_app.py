"""The same site in Django, by its handler of WSGI."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseForbidden,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path, reverse

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"class": "logging.StreamHandler"}},
        "loggers": {"django.request": {"handlers": ["stderr"], "level": "ERROR", "propagate": False}},
    },
)

ended: list[str] = []


def at_end(**_: Any) -> None:
    ended.append("request")


request_finished.connect(at_end)


def as_json(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return JsonResponse({"echo": json.loads(request.body)})
    told = {
        "query": request.GET.dict(),
        "url": request.build_absolute_uri(),
        "ip": request.META["REMOTE_ADDR"],
    }
    return JsonResponse({**told, "root": request.META["SCRIPT_NAME"]})


def form(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    data = file.read()
    told = {"note": request.POST["note"], "name": file.name, "size": len(data)}
    return JsonResponse({**told, "sum": hashlib.sha256(data).hexdigest()})


def stream(request: HttpRequest) -> Any:
    if request.method == "GET":
        return StreamingHttpResponse(numbers(int(request.GET["count"])), content_type="text/plain")
    size, digest = 0, hashlib.sha256()
    while data := request.read(65536):
        size += len(data)
        digest.update(data)
    return JsonResponse({"size": size, "sum": digest.hexdigest()})


def numbers(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"{number}\n"


def login(request: HttpRequest, name: str) -> HttpResponse:
    request.session["name"] = name
    return HttpResponseRedirect(reverse("who"))


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.session.get("name", "nobody"))


def forbidden(request: HttpRequest) -> HttpResponse:
    return HttpResponseForbidden()


def fail(request: HttpRequest) -> HttpResponse:
    raise ValueError("on purpose")


def tell_ended(request: HttpRequest) -> HttpResponse:
    return JsonResponse(ended, safe=False)


PAGES: dict[str, Callable[..., Any]] = {
    "json": as_json,
    "form": form,
    "stream": stream,
    "login/<str:name>": login,
    "who": who,
    "forbidden": forbidden,
    "fail": fail,
    "ended": tell_ended,
}
urlpatterns = [path(name, page, name=page.__name__) for name, page in PAGES.items()]

app: WSGIHandler = get_wsgi_application()
