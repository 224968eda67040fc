"""A server in a task group of anyio, on either of its libraries; `python examples/embed_anyio.py trio`."""

from __future__ import annotations

import sys
from functools import partial
from urllib.request import urlopen

import anyio
import anyio.to_thread
from hello import app

import tricorn


async def main() -> None:
    async with anyio.create_task_group() as group:
        server: tricorn.RunningServer = await group.start(partial(tricorn.serve, app, port=0))
        with await anyio.to_thread.run_sync(urlopen, server.url) as answer:
            print(answer.read().decode())
        group.cancel_scope.cancel()


anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
