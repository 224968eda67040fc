"""The same few calls on every async library, so that one application serves all the tests.

An application calls these only from inside the library; which one runs is asked each time, as sniffio does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import sniffio


def name() -> str:
    """Return ``asyncio`` (uvloop too), ``trio`` or ``curio``."""
    return sniffio.current_async_library()


async def sleep(seconds: float) -> None:
    """Suspend for so long."""
    if name() == "asyncio":
        await asyncio.sleep(seconds)
    elif name() == "trio":
        import trio

        await trio.sleep(seconds)
    else:
        import curio

        await curio.sleep(seconds)


async def checkpoint() -> None:
    """Let the others run once."""
    await sleep(0)


async def current_task() -> Any:
    """Return the library's task that runs now; curio can only be asked by a suspension."""
    if name() == "asyncio":
        return asyncio.current_task()
    if name() == "trio":
        import trio

        return trio.lowlevel.current_task()
    import curio

    return await curio.current_task()


def tasks_inherit_variables() -> bool:
    """Tell whether a task begins with the context variables of the one that started it; curio's do not."""
    return name() != "curio"


def clock() -> float:
    """Return seconds that only differences mean something of."""
    return time.monotonic()


async def cancel_self() -> None:
    """Cancel the task that runs now, as far as the library lets it; the cancellation is not waited for."""
    if name() == "asyncio":
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
    elif name() == "trio":
        import trio

        with trio.CancelScope() as scope:
            scope.cancel()
    else:
        task = await current_task()
        await task.cancel(blocking=False)


async def a_cancellation() -> BaseException:
    """Return the exception by which the library cancels, caught where it was raised."""
    kept: list[BaseException] = []

    async def wait() -> None:
        try:
            await sleep(30)
        except BaseException as error:
            kept.append(error)
            raise

    async with group() as tasks:
        await tasks.start(wait)
        await sleep(0.01)
        await tasks.cancel()
    return kept[0]


class Event:
    """Something that happens once; any number of tasks wait for it."""

    def __init__(self) -> None:
        if name() == "asyncio":
            self._event: Any = asyncio.Event()
        elif name() == "trio":
            import trio

            self._event = trio.Event()
        else:
            import curio

            self._event = curio.Event()

    async def set(self) -> None:
        """Let everyone go on."""
        result = self._event.set()
        if result is not None:
            await result

    async def wait(self) -> None:
        """Wait for it."""
        await self._event.wait()


class Group:
    """Tasks that end with the context that opened them."""

    def __init__(self, start: Callable[..., Any], cancel: Callable[[], Any]) -> None:
        self._start = start
        self._cancel = cancel

    async def start(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Run ``function(*args)`` as a task."""
        result = self._start(function, *args)
        if name() == "curio":
            await result

    async def cancel(self) -> None:
        """Cancel every task of the group."""
        result = self._cancel()
        if name() == "curio" and result is not None:
            await result


@asynccontextmanager
async def group() -> AsyncIterator[Group]:
    """Open a TaskGroup (asyncio, curio) or nursery (trio)."""
    if name() == "asyncio":
        tasks: list[asyncio.Task[Any]] = []
        async with asyncio.TaskGroup() as opened:

            def start(function: Callable[..., Any], *args: Any) -> None:
                tasks.append(opened.create_task(function(*args)))

            yield Group(start, lambda: [task.cancel() for task in tasks])
    elif name() == "trio":
        import trio

        async with trio.open_nursery() as nursery:
            yield Group(nursery.start_soon, nursery.cancel_scope.cancel)
    else:
        import curio

        async with curio.TaskGroup() as taskgroup:
            yield Group(taskgroup.spawn, taskgroup.cancel_remaining)
        for error in taskgroup.exceptions:
            if error is not None and not isinstance(error, curio.CancelledError):
                raise error


@asynccontextmanager
async def move_on_after(seconds: float) -> AsyncIterator[list[bool]]:
    """Cancel the body after so long; the list that it gives is empty, or holds ``True`` when that happened."""
    late: list[bool] = []
    if name() == "asyncio":
        try:
            async with asyncio.timeout(seconds):
                yield late
        except TimeoutError:
            late.append(True)
    elif name() == "trio":
        import trio

        with trio.move_on_after(seconds) as scope:
            yield late
        if scope.cancelled_caught:
            late.append(True)
    else:
        import curio

        try:
            async with curio.timeout_after(seconds):
                yield late
        except curio.TaskTimeout:
            late.append(True)


@asynccontextmanager
async def expired() -> AsyncIterator[list[bool]]:
    """Enter a scope that is cancelled already; the list holds ``True`` when that was felt by the body."""
    late: list[bool] = []
    if name() == "curio":
        async with move_on_after(0) as late:
            yield late
        return
    import anyio

    with anyio.CancelScope() as scope:
        scope.cancel()
        yield late
    if scope.cancelled_caught:
        late.append(True)


@contextmanager
def cancelled() -> Iterator[None]:
    """Pass on the library's cancellation and nothing else; the body must end with it."""
    try:
        yield
    except BaseException as error:
        if not is_cancellation(error):
            raise AssertionError(f"not a cancellation: {error!r}") from error
        raise
    raise AssertionError("not cancelled")


def is_cancellation(error: BaseException) -> bool:
    """Tell whether it is the running library's cancellation."""
    if name() == "asyncio":
        return isinstance(error, asyncio.CancelledError)
    if name() == "trio":
        import trio

        return isinstance(error, trio.Cancelled)
    import curio

    return isinstance(error, curio.CancelledError)
