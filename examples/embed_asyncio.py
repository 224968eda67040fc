"""A server in a task group of asyncio; `python examples/embed_asyncio.py`."""

from __future__ import annotations

import asyncio
from urllib.request import urlopen

from hello import app

import tricorn


async def main() -> None:
    async with asyncio.TaskGroup() as group, tricorn.running(app, port=0) as server:
        fetch = group.create_task(asyncio.to_thread(urlopen, server.url))
        with await fetch as answer:
            print(answer.read().decode())


asyncio.run(main())
