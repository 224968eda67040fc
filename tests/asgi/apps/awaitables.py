"""Applications that are awaited in every way that Python knows, and use receive() and send() as they like."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

import aio
from kit import Exchange, application, as_routes

finished: list[Any] = []


async def echo(exchange: Exchange) -> None:
    """Read, suspend and answer."""
    body = await exchange.body()
    await aio.checkpoint()
    await exchange.answer(body)


async def again(exchange: Exchange) -> None:
    """Await the same thing twice."""
    event = exchange.receive()
    await event
    try:
        await event
    except RuntimeError as error:
        await exchange.answer(str(error).encode())


async def one_for_two(exchange: Exchange) -> None:
    """Two tasks await the same thing: one gets it, the other is refused."""
    event = exchange.receive()
    got: list[str] = []

    async def take() -> None:
        try:
            got.append((await event)["type"])
        except RuntimeError as error:
            got.append(str(error))

    async with aio.group() as group:
        await group.start(take)
        await group.start(take)
    await exchange.json(sorted(got))


async def after_the_end(exchange: Exchange) -> None:
    """Keep what belongs to an exchange, and use what an earlier one has left."""
    results = []
    for receive, send, event in finished:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"not for this client"})
        results += [(await receive())["type"], (await event)["type"]]
    finished[:] = [(exchange.receive, exchange.send, exchange.receive())]
    await exchange.json(results)


class Speaking(bytearray):
    """Bytes that send a message of their own when they are no longer needed."""

    last_words: Callable[[], object]

    def __del__(self) -> None:
        self.last_words()


async def last_words(exchange: Exchange) -> None:
    """Giving back a body's memory runs code that sends: nothing is lost or doubled."""
    await exchange.start()
    for number in range(10):
        body = Speaking(b"%d" % number * 300_000)
        more = {"type": "http.response.body", "body": b"-%d-" % number * 20_000, "more_body": True}
        body.last_words = lambda more=more: exchange.send(more)  # type: ignore[misc]
        view = memoryview(body)
        del body
        await exchange.write(view)  # type: ignore[arg-type]
        del view
    await aio.sleep(0.05)
    await exchange.write(b"end", more=False)


TRAPS = {"none": None, "number": 3, "tuple": ("trap_door", 3), "object": object()}


@types.coroutine
def trapped(trap: object) -> Generator[object, None, None]:
    """Yield to the library what it does not know."""
    yield trap


async def foreign(exchange: Exchange) -> None:
    """Wait for something of another library: first or later, and catch what that raises, or not."""
    way = exchange.query["way"]
    trap = TRAPS[exchange.query["trap"]]
    if way in {"twice", "caught"}:
        with suppress(Exception):
            await trapped(trap)
    if way == "later":
        await aio.checkpoint()
    if way != "caught":
        await trapped(trap)
    await exchange.answer(b"went on")


class OnlyAwait:
    """Awaitable, and nothing else."""

    def __init__(self, inner: Awaitable[None]) -> None:
        self._inner = inner

    def __await__(self) -> Iterator[Any]:
        return self._inner.__await__()


class OnlyNext:
    """Awaitable, by an iterator that takes neither values nor exceptions."""

    def __init__(self, inner: Awaitable[None]) -> None:
        self._inner = inner.__await__()

    def __await__(self) -> OnlyNext:
        return self

    def __iter__(self) -> OnlyNext:
        return self

    def __next__(self) -> Any:
        return next(self._inner)  # type: ignore[call-overload]


class NoIterator:
    """What says that it can be awaited, and cannot."""

    def __await__(self) -> Any:
        return 3


@types.coroutine
def of_generator(inner: Awaitable[None]) -> Generator[Any, Any, None]:
    """A coroutine of the old kind."""
    yield from inner.__await__()


def plain_generator(inner: Any) -> Generator[int, None, None]:
    """A generator, which nobody can await."""
    inner.close()
    return (number for number in range(3))


def closing(value: object) -> Callable[[Any], object]:
    """Return a function that ends the coroutine and returns ``value`` in its place."""

    def close(inner: Any) -> object:
        inner.close()
        return value

    return close


WAYS: dict[str, Callable[[Any], Any]] = {
    "coroutine": lambda inner: inner,
    "only-await": OnlyAwait,
    "only-next": OnlyNext,
    "of-generator": of_generator,
    "plain-generator": plain_generator,
    "no-iterator": closing(NoIterator()),
    "number": closing(3),
    "nothing": closing(None),
}
inner_app = application(as_routes(echo, again, one_for_two, after_the_end, last_words, foreign))


def app(scope: Any, receive: Any, send: Any) -> Any:
    """Give what the query asks for."""
    inner = inner_app(scope, receive, send)
    return WAYS.get(scope.get("query_string", b"").decode(), WAYS["coroutine"])(inner)
