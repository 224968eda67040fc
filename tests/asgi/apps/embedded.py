"""A server inside a program of somebody else's, which cancels it while requests are at work.

Run as a program with the name of a library; prints what came of it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

import aio

from tricorn._backends import load
from tricorn.config import Config
from tricorn.server import Service

WAITING = 8
begun: list[str] = []
ends: list[str] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Wait until the client goes, or until the end."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
    begun.append(scope["type"])
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except BaseException as error:
        ends.append(f"{scope['type']} {type(error).__name__}")
        raise


async def cancel_server(server: Service) -> None:
    """Start the server in a task of this program and cancel it."""
    if aio.name() == "asyncio":
        task = asyncio.create_task(server.main())
        await occupy(server)
        task.cancel()
        await asyncio.wait([task])
    elif aio.name() == "trio":
        import trio

        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.main)
            await occupy(server)
            nursery.cancel_scope.cancel()
    else:
        import curio

        task = await curio.spawn(server.main)
        await occupy(server)
        await task.cancel()


async def occupy(server: Service) -> None:
    """Have requests at work."""
    address = ("127.0.0.1", int(server.urls[0].rpartition(":")[2]))
    for _ in range(WAITING):
        client = socket.create_connection(address)
        client.sendall(b"GET / HTTP/1.1\r\nHost: test.example\r\n\r\n")
        clients.append(client)
    while begun.count("http") < WAITING:
        await aio.sleep(0.01)


clients: list[socket.socket] = []


async def program() -> None:
    """Run the server until it is cancelled; then nothing of it may be left."""
    server = Service(Config("embedded:app", port=0), app, load(sys.argv[1]))
    await cancel_server(server)
    left = len(asyncio.all_tasks()) - 1 if aio.name() == "asyncio" else 0
    counters = server.core.counters()
    print(json.dumps({"ends": sorted(ends), "tasks": left, "open": counters["open"]}))


if __name__ == "__main__":
    load(sys.argv[1]).run(program)
