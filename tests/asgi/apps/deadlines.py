"""Applications that are slow themselves, so that a deadline of the client's passes while nobody looks."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aio
from kit import Exchange, Message, application, as_routes

MOST = 30.0
gate: list[aio.Event] = []
reading = 0


def block_until(path: str) -> None:
    """Let nothing else run until the test has made a file; another file tells it that this has begun."""
    Path(f"{path}.begun").touch()
    end = time.monotonic() + MOST
    while not Path(path).exists() and time.monotonic() < end:
        time.sleep(0.005)


async def plain(exchange: Exchange) -> None:
    """Answer with the body and the query."""
    await exchange.answer(await exchange.body() + exchange.scope["query_string"])


async def slow(exchange: Exchange) -> None:
    await aio.sleep(exchange.number("ms") / 1000)
    await exchange.answer(b"slow")


async def block(exchange: Exchange) -> None:
    block_until(exchange.query["until"])
    await exchange.answer(b"blocked")


async def read(exchange: Exchange) -> None:
    """Wait to be let in, then for the body, and answer with it."""
    global reading
    event = aio.Event()
    gate.append(event)
    await event.wait()
    reading += 1
    try:
        body = await exchange.body()
    finally:
        reading -= 1
    await exchange.answer(body)


async def gated(exchange: Exchange) -> None:
    """Tell how many wait to be let in."""
    await exchange.answer(b"%d" % len(gate))


async def let_in_and_block(exchange: Exchange) -> None:
    """Let all in, and block as soon as all wait for their bodies."""
    events = gate.copy()
    gate.clear()
    for event in events:
        await event.set()
    while reading < len(events):
        await aio.sleep(0.001)
    await block(exchange)


async def block_between(exchange: Exchange) -> None:
    """Block between the first piece of the body and the others."""
    message = await exchange.receive()
    first: bytes = message["body"]
    while not first:
        message = await exchange.receive()
        first = message["body"]
    block_until(exchange.query["until"])
    await exchange.answer(first + (await exchange.body() if message["more_body"] else b""))


async def download(exchange: Exchange) -> None:
    await exchange.start()
    for _ in range(exchange.number("count")):
        await exchange.write(b"x" * exchange.number("size"))
    await exchange.write(b"end", more=False)


async def block_when_full(exchange: Exchange) -> None:
    """Send until the client takes no more, block, and send the number of pieces as the last one."""
    await exchange.start()
    sent = 0
    while True:
        async with aio.move_on_after(0.2) as late:
            await exchange.write(b"x" * 100_000)
        sent += 1
        if late:
            break
    block_until(exchange.query["until"])
    await exchange.write(b"%d" % sent, more=False)


async def impatient(receive: Callable[[], Any], seconds: float) -> Message | None:
    """What receive() gives in time, or None; cancelled as one does in this library."""
    if aio.name() == "asyncio":
        try:
            found: Message = await asyncio.wait_for(receive(), seconds)
        except TimeoutError:
            return None
        return found
    if aio.name() == "trio":
        import trio

        with trio.move_on_after(seconds):
            message: Message = await receive()
            return message
        return None
    import curio

    async def wait() -> Message:
        message: Message = await receive()
        return message

    try:
        event: Message = await curio.timeout_after(seconds, wait)
    except curio.TaskTimeout:
        return None
    return event


async def give_up(exchange: Exchange) -> None:
    """Receive with little patience, do something else for longer, again and again, and receive what then comes."""
    got, cancelled, began, more = b"", 0, time.monotonic(), True
    while more:
        message = await impatient(exchange.receive, exchange.number("patience") / 1000)
        if message is None:
            cancelled += 1
            if cancelled == exchange.number("times"):
                break
            await aio.sleep(exchange.number("pause") / 1000)
        elif message["type"] == "http.disconnect":
            break
        else:
            got += message["body"]
            more = message["more_body"]
    got += await exchange.body() if more else b""
    await exchange.json([got.decode(), cancelled, time.monotonic() - began])


class Dropped:
    """Garbage, in a circle of which only the collector gets rid; it does something as it goes."""

    def __init__(self, act: Callable[[], object], generator: object = None) -> None:
        self._act = act
        self._circle = [self, generator]

    def __del__(self) -> None:
        self._act()


class Finalizing:
    """An exchange whose garbage is collected in the middle of its receive()."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.inside = False
        self.ran_inside = 0
        self.pieces: list[bytes] = []
        self.over = False
        self.started = False

    def take(self, message: Message) -> None:
        """Keep a piece of the body, whoever got it."""
        if message["type"] == "http.request":
            self.pieces.append(message["body"])
            self.over = self.over or not message["more_body"]

    def act(self) -> None:
        """Do what the query asks for; this runs wherever the collector does."""
        self.ran_inside += self.inside
        what = self.exchange.query["what"]
        if what == "receive":
            self.step(self.exchange.receive())
        elif what == "send" and not self.started:
            self.started = True
            self.step(self.exchange.start(200, [(b"x-inside", b"%d" % self.inside)]))
        elif what == "collect":
            gc.collect()

    def step(self, awaitable: Any) -> None:
        """Take one step; what would have to wait is closed, or says that the collector ran in no task."""
        steps = awaitable.__await__()
        try:
            steps.send(None)
        except StopIteration as stop:
            if stop.value is not None:
                self.take(stop.value)
        except RuntimeError:
            pass
        else:
            steps.close()

    async def generate(self) -> AsyncIterator[int]:
        """A generator that is left in the middle, and has something to do then."""
        try:
            yield 1
        finally:
            self.act()

    async def receive(self, allocations: int) -> None:
        """Receive; the collector runs at one of the next few allocations."""
        generator = None
        if aio.name() != "curio":  # which wants such generators to be closed, and says so
            generator = self.generate()
            await anext(generator)
        usual = gc.get_threshold()
        gc.disable()
        gc.collect()
        try:
            held = [{} for _ in range(200)]  # type: ignore[var-annotated]  # so that new ones are allocated
            Dropped(self.act, generator)
            del generator
            gc.set_threshold(gc.get_count()[0] + allocations)
            gc.enable()
            self.inside = True
            message = await self.exchange.receive()
            self.inside = False
            self.take(message)
            del held
        finally:
            self.inside = False
            gc.set_threshold(*usual)
            gc.enable()
            gc.collect()


async def finalize(exchange: Exchange) -> None:
    """Receive a body with garbage about; tell whether it was collected inside of receive()."""
    finalizing = Finalizing(exchange)
    async with aio.move_on_after(1):
        while not finalizing.over:
            await finalizing.receive(exchange.number("allocations"))
    if not finalizing.started:
        await exchange.start(200, [(b"x-inside", b"%d" % finalizing.ran_inside)])
    await exchange.write(b"".join(finalizing.pieces), more=False)


app = application(
    as_routes(
        plain,
        slow,
        block,
        read,
        gated,
        let_in_and_block,
        block_between,
        download,
        block_when_full,
        give_up,
        finalize,
    )
)
