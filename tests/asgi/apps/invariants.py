"""Probes of leaders and followers: every request checks that the invariants hold, and notes what does not."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import Any

import aio
from features import FEATURES
from kit import Exchange, as_routes

from tricorn import _core

variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable", default=None)
broken: list[str] = []
notes: list[Any] = []
kept: list[Any] = []
retired: set[Any] = set()
"""The tasks in which an application has suspended; kept alive, so that none has the identity of another."""


class World:
    """What the requests share."""

    suspended = 0
    gate: aio.Event
    ticks = 0
    between = 0
    most_between = 0
    ticking = False
    kernel: Any = None


def check(truth: object, what: str) -> None:
    """Note what does not hold."""
    if not truth:
        broken.append(what)


def task_now() -> Any:
    """Return the running task without suspending; of curio, which can only tell by a trap, the task's frame."""
    if aio.name() == "asyncio":
        return asyncio.current_task()
    if aio.name() == "trio":
        import trio

        return trio.lowlevel.current_task()
    frame, outermost = sys._getframe(), None
    while frame is not None:
        if frame.f_code.co_flags & inspect.CO_COROUTINE:
            outermost = frame
        frame = frame.f_back  # type: ignore[assignment]
    return outermost


def coroutines() -> Iterator[Any]:
    """Give the coroutine of every task of the library."""
    if aio.name() == "asyncio":
        yield from (task.get_coro() for task in asyncio.all_tasks())
    elif aio.name() == "trio":
        import trio

        tasks = [trio.lowlevel.current_root_task()]
        for task in tasks:
            assert task is not None
            yield task.coro
            tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    else:
        yield from (task.coro for task in World.kernel._tasks.values())


def is_serving(coroutine: Any) -> bool:
    """Tell whether a task runs the core's Runner, itself or inside a coroutine of the backend."""
    if isinstance(coroutine, _core.Runner):
        return True
    given = coroutine.cr_frame.f_locals if coroutine.cr_frame else {}
    return isinstance(getattr(given.get("function"), "__self__", None), _core.Server)


def serving_tasks() -> tuple[int, int]:
    """Count the serving tasks: those that have begun, and those that were only started."""
    begun = [one.cr_running or one.cr_suspended for one in coroutines() if is_serving(one)]
    return sum(begun), len(begun) - sum(begun)


async def suspend(seconds: float) -> None:
    """Sleep, in a task that belongs to this request from now on."""
    retired.add(task_now())
    await aio.sleep(seconds)


def one_leader(when: str) -> None:
    """Note anything but one leader, or one to come, besides the tasks that are their requests'."""
    begun, starting = serving_tasks()
    found = begun - World.suspended
    check(found == 1 or (found == 0 and starting), f"I1: {found} leaders {when}")


async def plain(exchange: Exchange) -> None:
    """Answer without suspending."""
    await exchange.answer(exchange.scope["query_string"])


async def mixed(exchange: Exchange) -> None:
    """Suspend as often as it is asked to, or not at all; everything is checked before and after."""
    one_leader("at the start")
    task, mine = task_now(), object()
    variable.set(mine)
    times = exchange.number("times")
    World.suspended += times > 0
    try:
        for _ in range(times):
            await suspend(exchange.number("us") / 1e6)
            check(variable.get() is mine, "I3: another value after a suspension")
            check(task_now() is task, "I2: another task after a suspension")
            one_leader("after a suspension")
        if "fail" in exchange.query:
            raise ValueError("on purpose")
        await exchange.answer(exchange.scope["query_string"])
        check(variable.get() is mine, "I3: another value after the answer")
    finally:
        World.suspended -= times > 0


async def tasks(exchange: Exchange) -> None:
    """Tell whether the first instruction runs in one of the library's tasks, and the later ones in the same."""
    first = await aio.current_task()
    known = [coroutine for coroutine in coroutines() if coroutine is coroutine_of(first)]
    await exchange.body()
    second = await aio.current_task()
    await aio.sleep(0.001)
    third = await aio.current_task()
    await exchange.json([len(known), first is second, second is third])


def coroutine_of(task: Any) -> Any:
    """Return what a task runs."""
    return task.get_coro() if aio.name() == "asyncio" else task.coro


async def features(exchange: Exchange) -> None:
    """Tell which features of the libraries there are to be tried."""
    await exchange.json([f"{library}.{name}" for library in libraries() for name in FEATURES[library]])


def libraries() -> list[str]:
    """Return the libraries whose calls can be made here."""
    return {"asyncio": ["asyncio", "anyio"], "trio": ["trio", "anyio"], "curio": ["curio"]}[aio.name()]


async def feature(exchange: Exchange) -> None:
    """Try one of them as the first thing that the application does."""
    library, _, name = exchange.query["name"].partition(".")
    await exchange.json(await FEATURES[library][name]())


async def gate(exchange: Exchange) -> None:
    """Wait until the gate is opened; then answer."""
    World.suspended += 1
    retired.add(task_now())
    await World.gate.wait()
    World.suspended -= 1
    await exchange.answer(b"released")


async def close_gate(exchange: Exchange) -> None:
    """Let those who come wait."""
    World.gate = aio.Event()
    await exchange.answer()


async def open_gate(exchange: Exchange) -> None:
    """Let all who wait go on."""
    await World.gate.set()
    await exchange.answer()


async def census(exchange: Exchange) -> None:
    """Tell how many tasks serve, and how many of them are their requests'."""
    await exchange.json([serving_tasks()[0], World.suspended])


async def census_of_retired(exchange: Exchange) -> None:
    """Tell in how many tasks an application has suspended."""
    await exchange.json(len(retired))


async def noted(exchange: Exchange) -> None:
    """Tell what did not hold."""
    await exchange.json({"broken": sorted(set(broken)), "notes": notes})


async def tick() -> None:
    """Run once in every round of the library, and see how many requests began since the last time."""
    World.between = World.most_between = World.ticks = 0
    while World.ticking:
        World.ticks += 1
        World.most_between = max(World.most_between, World.between)
        World.between = 0
        await aio.checkpoint()


async def start_ticking(exchange: Exchange) -> None:
    """Start the ticker, in a task of its own."""
    World.ticking = True
    if aio.name() == "asyncio":
        kept.append(asyncio.create_task(tick()))
    elif aio.name() == "trio":
        import trio

        trio.lowlevel.spawn_system_task(tick)
    else:
        import curio

        await curio.spawn(tick, daemon=True)
    await exchange.answer()


async def stop_ticking(exchange: Exchange) -> None:
    """Stop it, and tell what it saw."""
    World.ticking = False
    await exchange.json([World.ticks, World.most_between])


async def busy(exchange: Exchange) -> None:
    """Hold the processor for so long."""
    World.between += 1
    end = time.perf_counter() + exchange.number("us") / 1e6
    while time.perf_counter() < end:
        pass
    if "suspended" in exchange.query:
        await aio.checkpoint()
    await exchange.answer()


async def failing(exchange: Exchange) -> None:
    """Fail with an exception of one kind or another, before or after a suspension."""
    if "suspended" in exchange.query:
        await aio.sleep(0)
    raise make_exception(exchange.query["kind"])


async def unruly(exchange: Exchange) -> None:
    """Answer the cancellation with an exception of one kind or another."""
    World.suspended += 1
    try:
        await aio.sleep(60)
    except BaseException:
        raise make_exception(exchange.query["kind"]) from None


def make_exception(kind: str) -> BaseException:
    """Make an exception with the text ``kind``."""
    kinds: dict[str, Callable[[], BaseException]] = {
        "cancellation": lambda: cancellation(kind),
        "group": lambda: ExceptionGroup(kind, [ValueError("inner")]),
        "base-group": lambda: BaseExceptionGroup(kind, [KeyboardInterrupt("inner")]),
        "no-message": lambda: StopAsyncIteration(kind),
    }
    for base in (
        ValueError,
        OSError,
        BaseException,
        KeyboardInterrupt,
        SystemExit,
        GeneratorExit,
        TimeoutError,
    ):
        kinds[base.__name__] = lambda base=base: base(kind)  # type: ignore[misc]
    return kinds[kind]()


def cancellation(text: str) -> BaseException:
    """Make the library's own exception for a cancelled task."""
    if aio.name() == "asyncio":
        return asyncio.CancelledError(text)
    if aio.name() == "trio":
        import trio

        return trio.Cancelled._create(source="unknown")  # type: ignore[call-arg]
    import curio

    error: BaseException = curio.TaskCancelled(text)
    return error


async def self_cancelling(exchange: Exchange) -> None:
    """Answer and return, with a cancellation of this task on its way."""
    if "suspended" in exchange.query:
        await aio.sleep(0)
    if aio.name() == "asyncio":
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
    elif aio.name() == "curio":
        import curio

        await (await curio.current_task()).cancel(blocking=False)
    await exchange.answer(b"cancelled")


async def cancelling(exchange: Exchange) -> None:
    """Tell how many cancellations of this task are on their way, before anything of this request."""
    task = asyncio.current_task() if aio.name() == "asyncio" else None
    await exchange.json(task.cancelling() if task else 0)


class Watched:
    """An awaitable, and how often it suspends."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self.awaitable = awaitable
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self.awaitable.__await__()
        step, value = steps.send, None
        while True:
            try:
                trap = step(value)  # type: ignore[arg-type]
            except StopIteration as stop:
                return stop.value
            self.suspensions += 1
            try:
                step, value = steps.send, (yield trap)
            except BaseException as error:
                step, value = steps.throw, error  # type: ignore[assignment]


async def watched(awaitable: Awaitable[Any]) -> int:
    """Await it and return how often that suspended."""
    watch = Watched(awaitable)
    await watch
    return watch.suspensions


async def immediate(exchange: Exchange) -> None:
    """Tell how often each call suspends that need not wait; the request has a body in one piece."""
    found = [await watched(exchange.receive()), await watched(exchange.start())]
    for _ in range(10):
        found.append(await watched(exchange.write(b"x" * 100)))
    await exchange.write(b"", more=False)
    found += [await watched(exchange.receive()) for _ in range(1000)]
    notes.append(["immediate", found])


async def tight(exchange: Exchange) -> None:
    """Send one byte at a time and note after how many sends in a row one is a checkpoint."""
    await exchange.start()
    runs, run = [], 0
    for _ in range(2000):
        run += 1
        if await watched(exchange.write(b"x")):
            runs.append(run)
            run = 0
    await exchange.write(b"", more=False)
    notes.append(["tight", max([*runs, run]), len(runs)])


async def endless(exchange: Exchange) -> None:
    """Send until the time is over."""
    await exchange.start()
    World.suspended += 1
    async with aio.move_on_after(exchange.number("ms") / 1000) as late:
        while True:
            await exchange.write(b"x" * 100)
    World.suspended -= 1
    await exchange.write(b"late" if late else b"never", more=False)


async def impatient(exchange: Exchange) -> None:
    """Read the body with a time limit for each event that is always too short; nothing is lost."""
    body, more, late_ones = b"", True, 0
    while more:
        async with aio.move_on_after(0.0005) as late:
            message = await exchange.receive()
            assert message["type"] == "http.request"
            body += message["body"]
            more = message["more_body"]
        late_ones += bool(late)
    await exchange.json([len(body), late_ones > 0])


ROUTES = as_routes(
    plain,
    mixed,
    tasks,
    features,
    feature,
    gate,
    close_gate,
    open_gate,
    census,
    census_of_retired,
    noted,
    start_ticking,
    stop_ticking,
    busy,
    failing,
    unruly,
    self_cancelling,
    cancelling,
    immediate,
    tight,
    endless,
    impatient,
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Check what holds at the start of every request; then do what is asked."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    check(variable.get() is None, "I3: a value of another request")
    check(task_now() not in retired, "I4: the task has been another request's")
    variable.set(scope["path"])
    await ROUTES[scope["path"]](Exchange(scope, receive, send))


async def lifespan(receive: Any, send: Any) -> None:
    """Start and stop."""
    await receive()
    if aio.name() == "curio":
        import curio

        World.kernel = await curio.traps._get_kernel()
    World.gate = aio.Event()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
