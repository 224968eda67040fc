"""The applications that are made with frameworks: a route that answers a small JSON object.

They are imported only by the servers that are measured with them, from the environment `frameworks`, which every server
gets in its path: the same versions for all.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

MESSAGE = {"message": "Hello, world!"}

fastapi = FastAPI()


@fastapi.get("/")
async def answer() -> dict[str, str]:
    """Answer through FastAPI's own serialisation."""
    return MESSAGE


async def answer_request(request: Request) -> JSONResponse:
    """Answer as Starlette's documentation does."""
    return JSONResponse(MESSAGE)


starlette = Starlette(routes=[Route("/", answer_request)])
