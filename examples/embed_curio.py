"""A server in a task of curio; `python examples/embed_curio.py`."""

from __future__ import annotations

from urllib.request import urlopen

import curio
from hello import app

import tricorn


async def main() -> None:
    async with tricorn.running(app, port=0) as server, curio.TaskGroup() as group:
        fetch = await group.spawn(curio.run_in_thread, urlopen, server.url)
        with await fetch.join() as answer:
            print(answer.read().decode())


curio.run(main)
