"""uvloop: asyncio's tasks on libuv's loop."""

from __future__ import annotations

import asyncio

import uvloop

from tricorn._backends.asyncio import AsyncioBackend


class UvloopBackend(AsyncioBackend):
    """See :class:`tricorn._backends.base.Backend`."""

    name = "uvloop"

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new event loop of uvloop's."""
        return uvloop.new_event_loop()

    def drives(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Tell whether a loop is of this library."""
        return isinstance(loop, uvloop.Loop)


backend = UvloopBackend()
