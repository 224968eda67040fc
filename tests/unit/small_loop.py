"""A complete small event loop and its backend: the model for whoever brings a library of their own.

A task suspends by yielding a :class:`Wait`. Whatever it waits for ends that wait, once; a cancellation ends it, too.
"""

from __future__ import annotations

import heapq
import itertools
import select
import threading
import time
import types
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from typing import Any


class Cancelled(BaseException):
    """Raised where a cancelled task waits."""


class Wait:
    """One suspension of one task; ``begin`` is called when the task is suspended."""

    def __init__(self, begin: Callable[[Wait], None] | None = None) -> None:
        self.begin = begin
        self.task: Task | None = None
        self.ended = False

    @types.coroutine
    def suspend(self) -> Generator[Wait, None, None]:
        yield self

    def end(self) -> None:
        """Let the task go on; only the first call does."""
        if not self.ended and self.task is not None:
            self.ended = True
            self.task.wait = None
            self.task.loop.ready.append(self.task)


class Task:
    """A coroutine at work."""

    def __init__(self, loop: Loop, coroutine: Coroutine[Any, Any, Any], context: Context) -> None:
        self.loop = loop
        self.coroutine = coroutine
        self.context = context
        self.wait: Wait | None = None
        self.cancelled = False  # a cancellation has been asked for and not yet raised
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.on_done: list[Callable[[Task], None]] = []

    def cancel(self) -> None:
        """Raise :class:`Cancelled` where the task waits, or where it will wait next."""
        if not self.done:
            self.cancelled = True
            if self.wait is not None:
                self.wait.end()

    def step(self) -> None:
        """Run until the task suspends or ends."""
        try:
            if self.cancelled:
                self.cancelled = False
                wait = self.context.run(self.coroutine.throw, Cancelled())
            else:
                wait = self.context.run(self.coroutine.send, None)
        except StopIteration as stop:
            self._end(stop.value, None)
        except BaseException as error:
            self._end(None, error)
        else:
            self._suspended(wait)

    def _suspended(self, wait: Wait) -> None:
        wait.task = self
        self.wait = wait
        if self.cancelled:
            wait.end()
        elif wait.begin is not None:
            wait.begin(wait)

    def _end(self, result: Any, error: BaseException | None) -> None:
        self.done, self.result, self.error = True, result, error
        for function in self.on_done:
            function(self)


class Loop:
    """Steps tasks, and waits for the clock and for descriptors when none can go on."""

    current = threading.local()

    def __init__(self) -> None:
        self.ready: deque[Task] = deque()
        self.timers: list[tuple[float, int, Wait]] = []
        self.readers: dict[int, Wait] = {}
        self._poll = select.poll()
        self._number = itertools.count()

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Task:
        """Make a task that begins in the next turn, in a copy of the caller's context."""
        task = Task(self, coroutine, copy_context())
        self.ready.append(task)
        return task

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run until a coroutine has ended."""
        main = self.start(coroutine)
        while not main.done:
            self._look()
            for _ in range(len(self.ready)):
                task = self.ready.popleft()
                self.current.task = task
                task.step()
                self.current.task = None
        if main.error is not None:
            raise main.error
        return main.result

    def at(self, moment: float, wait: Wait) -> None:
        """End a wait at a moment."""
        heapq.heappush(self.timers, (moment, next(self._number), wait))

    def readable(self, fd: int, wait: Wait) -> None:
        """End a wait when a descriptor is readable, or already is."""
        self.readers[fd] = wait
        self._poll.register(fd, select.POLLIN)

    def forget(self, fd: int) -> None:
        """Wait for a descriptor no longer."""
        if self.readers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def _look(self) -> None:
        timeout = None
        if self.ready:
            timeout = 0.0
        elif self.timers:
            timeout = max(0.0, self.timers[0][0] - time.monotonic()) * 1000 + 1
        for fd, _ in self._poll.poll(timeout):
            wait = self.readers[fd]
            self.forget(fd)
            wait.end()
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            heapq.heappop(self.timers)[2].end()


class SmallParking:
    """A place to wait at."""

    def __init__(self) -> None:
        self.woken = False
        self.waiting: Wait | None = None

    async def wait(self) -> None:
        """Suspend unless woken already."""
        if not self.woken:
            self.waiting = Wait()
            await self.waiting.suspend()

    def wake(self) -> None:
        """End the wait; a wait that has ended does not end again."""
        self.woken = True
        if self.waiting is not None:
            self.waiting.end()


class SmallGroup:
    """Tasks that are waited for."""

    refuse_message = "the loop knows nothing of this"

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.tasks: set[Task] = set()
        self.cancelled = False
        self.empty = SmallParking()

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Awaitable[Any] | None:
        """Start a task."""
        task = self.loop.start(function())
        self.tasks.add(task)
        task.on_done.append(self._done)
        return None

    def cancel(self) -> Awaitable[Any] | None:
        """Cancel what has not ended."""
        self.cancelled = True
        for task in tuple(self.tasks):
            task.cancel()
        return None

    def ending(self) -> bool:
        """Tell whether the group was cancelled."""
        return self.cancelled

    def stray(self) -> Callable[[], object] | None:
        """Tell of a cancellation that is still to be raised."""
        task: Task = self.loop.current.task
        return lambda: task.cancelled

    def canceller(self, coroutine: object) -> Callable[[], Awaitable[Any] | None]:
        """Return what cancels the calling task."""
        cancel: Callable[[], None] = self.loop.current.task.cancel
        return cancel

    def refuse(self, trap: object) -> BaseException | None:
        """Refuse what is no wait of the loop."""
        return None if isinstance(trap, Wait) else RuntimeError(self.refuse_message)

    async def join(self) -> None:
        """Wait until no task is left; a cancellation meanwhile is one of theirs."""
        cancelled: Cancelled | None = None
        while self.tasks:
            self.empty = SmallParking()
            try:
                await self.empty.wait()
            except Cancelled as error:
                cancelled = error
                self.cancel()
        if cancelled is not None:
            raise cancelled

    def _done(self, task: Task) -> None:
        self.tasks.discard(task)
        if not self.tasks:
            self.empty.wake()


class SmallBackend:
    """The loop, as the server sees it."""

    name = "small"
    loop: Loop
    new_group = SmallGroup
    new_parking = SmallParking

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a function in a loop of its own."""
        self.loop = Loop()
        return self.loop.run(main())

    def running(self) -> bool:
        """Tell whether this thread steps a task."""
        return getattr(Loop.current, "task", None) is not None

    async def shelter(
        self,
        main: Callable[[], Coroutine[Any, Any, Any]],
        cancelled: Callable[[], Coroutine[Any, Any, None]],
    ) -> Any:
        """Run a function in a task that nobody cancels."""
        task = self.loop.start(main())
        ended = self.park()
        task.on_done.append(lambda _: ended.wake())
        cancellation: Cancelled | None = None
        while not task.done:
            try:
                await ended.wait()
            except Cancelled as error:
                cancellation = error
                await cancelled()
        if task.error is not None:
            raise task.error
        if cancellation is not None:
            raise cancellation
        return task.result

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[SmallGroup]:
        """Open a group."""
        group = self.new_group(self.loop)
        try:
            yield group
        except BaseException:
            group.cancel()
            await group.join()
            raise
        await group.join()

    @asynccontextmanager
    async def watch(self, fd: int) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
        """Wait for a descriptor."""
        try:
            yield lambda: Wait(lambda wait: self.loop.readable(fd, wait)).suspend()
        finally:
            self.loop.forget(fd)

    def park(self) -> SmallParking:
        """Return a place to wait at."""
        return self.new_parking()

    def checkpoint(self) -> Awaitable[Any]:
        """Go to the end of the queue."""
        return Wait(Wait.end).suspend()

    def sleep(self, seconds: float) -> Awaitable[Any]:
        """Wait for the clock."""
        return Wait(lambda wait: self.loop.at(time.monotonic() + seconds, wait)).suspend()


async def cancel_oneself() -> None:
    """Leave a cancellation behind in the calling task."""
    Loop.current.task.cancel()
