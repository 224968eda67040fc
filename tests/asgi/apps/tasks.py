"""Probes of the invariants: who runs the application, in which task and context, and when others have their turn."""

from __future__ import annotations

import contextvars
from typing import Any

import aio
from kit import Exchange, application, as_routes

variable: contextvars.ContextVar[str | None] = contextvars.ContextVar("variable", default=None)
notes: list[Any] = []
suspended_tasks: list[Any] = []
gate: list[aio.Event] = []
held = 0
ticks = 0
longest_gap = 0.0
kept_cancellation: BaseException | None = None


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Keep a task ticking while the server serves, and measure the longest time between two ticks."""

    async def tick() -> None:
        global ticks, longest_gap
        last = aio.clock()
        while True:
            await aio.sleep(0.005)
            now = aio.clock()
            longest_gap, last, ticks = max(longest_gap, now - last), now, ticks + 1

    await receive()
    async with aio.group() as group:
        await group.start(tick)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await group.cancel()
    await send({"type": "lifespan.shutdown.complete"})


async def noted(exchange: Exchange) -> None:
    await exchange.json(notes)


async def ticking(exchange: Exchange) -> None:
    """Tell the ticks and the longest gap since this was asked last."""
    global ticks, longest_gap
    found, ticks, longest_gap = [ticks, longest_gap], 0, 0.0
    await exchange.json(found)


async def number(exchange: Exchange) -> None:
    if "ms" in exchange.query:
        await aio.sleep(exchange.number("ms") / 1000)
    await exchange.answer(exchange.query["n"].encode())


async def hold(exchange: Exchange) -> None:
    """Answer when all that is held is let go."""
    global held
    event = aio.Event()
    gate.append(event)
    held += 1
    await event.wait()
    held -= 1
    await exchange.answer(exchange.query.get("n", "held").encode())


async def held_now(exchange: Exchange) -> None:
    await exchange.answer(b"%d" % held)


async def let(exchange: Exchange) -> None:
    events = gate.copy()
    gate.clear()
    for event in events:
        await event.set()
    await exchange.answer(b"%d" % len(events))


async def library(exchange: Exchange) -> None:
    """The library that sniffio sees, from the first instruction and after a suspension."""
    found = [aio.name()]
    await aio.checkpoint()
    await exchange.json([*found, aio.name()])


async def same_task(exchange: Exchange) -> None:
    """One task of the library runs the exchange, from its first instruction to its last."""
    first = await aio.current_task()
    await aio.sleep(0.002)
    await exchange.body()
    second = await aio.current_task()
    kinds = [kind.__module__.partition(".")[0] for kind in type(first).__mro__]
    await exchange.json([first is second, first is not None, kinds])


async def timeout(exchange: Exchange) -> None:
    """A time limit of the library ends a sleep and a receive(), and not what is in time."""
    found = []
    await exchange.body()
    async with aio.move_on_after(0.02) as late:
        await aio.sleep(30)
    found.append(bool(late))
    async with aio.move_on_after(0.02) as late:
        await exchange.receive()
    found.append(bool(late))
    async with aio.move_on_after(30) as late:
        await aio.sleep(0.001)
    found.append(bool(late))
    await exchange.json(found)


async def grouped(exchange: Exchange) -> None:
    """Tasks that the application starts, from the first instruction; one answers."""
    found: list[int] = []

    async def work(value: int) -> None:
        await aio.sleep(0.001 * value)
        found.append(value)

    async with aio.group() as group:
        for value in (3, 1, 2):
            await group.start(work, value)
    async with aio.group() as group:
        await group.start(exchange.json, sorted(found))


async def failing_group(exchange: Exchange) -> None:
    """A task of the application fails: the others are cancelled, the exception reaches the application."""
    cancelled = []

    async def wait() -> None:
        try:
            with aio.cancelled():
                await aio.sleep(30)
        finally:
            cancelled.append(True)

    async def fail() -> None:
        await aio.sleep(0.005)
        raise ValueError("on purpose")

    try:
        async with aio.group() as group:
            await group.start(wait)
            await group.start(fail)
    except BaseException as error:
        await exchange.json([cancelled, "ValueError" in repr(error) + repr(getattr(error, "errors", ""))])


async def anyio_tools(exchange: Exchange) -> None:
    """What anyio offers: task groups, limits, threads, streams."""
    import anyio

    found: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0.001)
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep(30)
        found.append(scope.cancelled_caught)
    found.append(await anyio.to_thread.run_sync(lambda: "from a thread"))
    sender, receiver = anyio.create_memory_object_stream[str](1)
    async with sender, receiver:
        await sender.send("through a stream")
        found.append(await receiver.receive())
    with anyio.CancelScope() as scope:
        scope.cancel()
        found.append((await exchange.receive())["type"])
        await exchange.receive()
    found.append(scope.cancelled_caught)
    await exchange.json(found)


async def variables(exchange: Exchange) -> None:
    """Nothing set in another exchange is seen; what was set here stays, across suspensions and in tasks."""
    found = [variable.get()]
    variable.set(exchange.query["n"])
    if "ms" in exchange.query:
        await aio.sleep(exchange.number("ms") / 1000)
        found.append(variable.get())

        async def look() -> None:
            found.append(variable.get() if aio.tasks_inherit_variables() else exchange.query["n"])

        async with aio.group() as group:
            await group.start(look)
    await exchange.json(found)


async def fresh_task(exchange: Exchange) -> None:
    """Tell whether this task was suspended by an exchange before; note it if this one suspends."""
    task = await aio.current_task()
    used = any(task is other for other in suspended_tasks)
    if "ms" in exchange.query or aio.name() == "curio":
        suspended_tasks.append(task)
    if "ms" in exchange.query:
        await aio.sleep(exchange.number("ms") / 1000)
        used = used or await aio.current_task() is not task
    await exchange.answer(b"used" if used else b"fresh")


async def tight_send(exchange: Exchange) -> None:
    """Send without a pause; another task counts the turns that it gets meanwhile."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await aio.checkpoint()
            turns += 1

    await exchange.start()
    async with aio.group() as group:
        await group.start(turn)
        await aio.checkpoint()
        before = turns
        for _ in range(exchange.number("count")):
            await exchange.write(b"a")
        between = turns - before
        await group.cancel()
    await exchange.write(b"%d" % between, more=False)


async def cancelled_blocked_send(exchange: Exchange) -> None:
    """A send() that waits for a reader who does not read is ended by a time limit."""
    await exchange.start()
    sent = 0
    async with aio.move_on_after(0.2) as late:
        while True:
            await exchange.write(b"a" * 100_000)
            sent += 1
    notes.append(["blocked send", bool(late), sent < 1000])
    await exchange.write(b"end", more=False)


async def raised(exchange: Exchange) -> None:
    """Raise anything, at once or after a suspension, or cancel the own task and return."""
    if "ms" in exchange.query:
        await aio.sleep(exchange.number("ms") / 1000)
    kind = exchange.query["kind"]
    if kind == "cancel-self":
        await aio.cancel_self()
        return
    if kind == "cancelled":
        assert kept_cancellation is not None
        raise kept_cancellation
    kinds: dict[str, BaseException] = {
        "exception": ValueError("on purpose"),
        "base": BaseException("on purpose"),
        "interrupt": KeyboardInterrupt("on purpose"),
        "exit": SystemExit(7),
        "group": BaseExceptionGroup("on purpose", [ValueError("one"), KeyboardInterrupt("two")]),
        "stop": StopAsyncIteration("on purpose"),
        "generator-exit": GeneratorExit("on purpose"),
        "memory": MemoryError("on purpose"),
        "recursion": RecursionError("on purpose"),
        "os": OSError(32, "on purpose"),
        "timeout": TimeoutError("on purpose"),
    }
    raise kinds[kind]


async def keep_cancellation(exchange: Exchange) -> None:
    """Get hold of the library's own cancellation, for another exchange to raise."""
    global kept_cancellation
    kept_cancellation = await aio.a_cancellation()
    await exchange.answer(type(kept_cancellation).__name__.encode())


app = application(
    as_routes(
        noted,
        ticking,
        number,
        hold,
        held_now,
        let,
        library,
        same_task,
        timeout,
        grouped,
        failing_group,
        anyio_tools,
        variables,
        fresh_task,
        tight_send,
        cancelled_blocked_send,
        raised,
        keep_cancellation,
    ),
    lifespan,
)


def broken_call(scope: Any, receive: Any, send: Any) -> Any:
    """Return what cannot be awaited, or raise when it is called."""
    if scope["type"] == "lifespan" or scope["path"] == "/raise":
        raise ValueError("on purpose, in the call")
    return 5 if scope["path"] == "/five" else app(scope, receive, send)
