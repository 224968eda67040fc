"""A Starlette application: it runs on asyncio, uvloop and trio without a change.

tricorn --app-dir examples starlette_app:app --async-library trio

curl http://127.0.0.1:8000/
curl --json '{"name": "Ada"}' http://127.0.0.1:8000/greet
curl --no-buffer http://127.0.0.1:8000/countdown
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import sniffio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"This is Starlette on {sniffio.current_async_library()}.\n")


async def greet(request: Request) -> JSONResponse:
    person = await request.json()
    return JSONResponse({"greeting": f"Hello, {person['name']}!"})


async def countdown(request: Request) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for number in (3, 2, 1):
            yield f"{number} ...\n"
            await anyio.sleep(0.2)
        yield "go\n"

    return StreamingResponse(lines(), media_type="text/plain")


app = Starlette(
    routes=[Route("/", home), Route("/greet", greet, methods=["POST"]), Route("/countdown", countdown)]
)
