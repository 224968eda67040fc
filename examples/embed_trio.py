"""A server in a nursery of trio, beside what else the program does; `python examples/embed_trio.py`."""

from __future__ import annotations

from functools import partial
from urllib.request import urlopen

import trio
from hello import app

import tricorn


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: tricorn.RunningServer = await nursery.start(partial(tricorn.serve, app, port=0))
        with await trio.to_thread.run_sync(urlopen, server.url) as answer:
            print(answer.read().decode())
        nursery.cancel_scope.cancel()  # the server ends like any task: what is at work may finish first


trio.run(main)
