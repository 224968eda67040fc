"""Tests that ask a server, by the fixture of Tricorn's plugin for pytest; `pytest examples/embed_pytest.py`.

The first is an ordinary function: the server is in a thread. The second is a coroutine that anyio's plugin runs
on asyncio and on trio: the server is in a task of the test's own loop, and shares its objects.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.request import urlopen

import anyio
import anyio.to_thread
import pytest
from hello import app

from tricorn.serving_tests import Servers


def test_a_page(tricorn_server: Servers) -> None:
    server = tricorn_server(app, access_log=False)
    with urlopen(server.url) as answer:
        assert b"Tricorn" in answer.read()
    assert server.counters()["exchanges"] == 1


@pytest.mark.anyio
async def test_an_object_of_the_test(tricorn_server: Servers, anyio_backend_name: str) -> None:
    asked = anyio.Event()

    async def telling(scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        if scope["type"] == "http":
            asked.set()
        await app(scope, receive, send)

    server = await tricorn_server(telling)
    with await anyio.to_thread.run_sync(urlopen, server.url) as answer:
        page = answer.read().decode().lower()
    await asked.wait()
    assert f"<strong>{anyio_backend_name}</strong>" in page
