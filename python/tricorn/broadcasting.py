"""One message to many WebSockets, for the price of little more than writing it to each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tricorn import _core

Send = Callable[[dict[str, Any]], Awaitable[Any]]


async def broadcast(sends: Iterable[Send], message: dict[str, Any]) -> list[Send]:
    """Send one message to many WebSockets; it is framed and compressed once for all that can share it.

    Nobody waits for a slow client: one whose buffer is full does not get the message. A ``send`` that is not
    Tricorn's own, because a middleware has wrapped it, is awaited like any other, one after another, at the end.

    Args:
        sends: The ``send`` callables of the WebSockets.
        message: A ``websocket.send`` event, with either ``text`` or ``bytes``.

    Returns:
        Those that did not take the message: their WebSocket is closed, or its client too slow.

    Raises:
        TypeError, ValueError: The message is not one that can be sent.
    """
    if message.get("type") != "websocket.send":
        raise ValueError(f"a broadcast is a 'websocket.send' event, not {message.get('type')!r}")
    missed, foreign, pause = _core.broadcast(sends, message)
    if pause is not None:
        await pause
    for send in foreign:
        try:
            await send(message)
        except OSError:
            missed.append(send)
    return missed
