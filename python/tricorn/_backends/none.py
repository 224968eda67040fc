"""No async library: a descriptor, a queue of coroutines and a clock, for what awaits receive() and send() alone."""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import time
import types
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tricorn._backends._signals import drain, signal_reader

T = TypeVar("T")


class Cancelled(BaseException):
    """Raised in a task that is cancelled."""


class Trap:
    """What a task yields to suspend: ``begin`` sees to it that the task goes on some time."""

    __slots__ = ("begin",)

    def __init__(self, begin: Callable[[Task], None]) -> None:
        self.begin = begin

    @types.coroutine
    def suspend(self) -> Generator[Trap, None, None]:
        """Suspend the calling task."""
        yield self


class Task:
    """A coroutine at work. ``turns`` counts its steps, so that a timer knows whether it still waits for it."""

    __slots__ = ("cancelled", "coroutine", "on_end", "turns")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], on_end: Callable[[Task], None]) -> None:
        self.coroutine = coroutine
        self.on_end = on_end
        self.cancelled = False
        self.turns = 0


class Kernel:
    """Steps tasks until the first one has ended."""

    def __init__(self) -> None:
        self.ready: deque[tuple[Task, int]] = deque()
        self._timers: list[tuple[float, int, Task, int]] = []
        self._number = itertools.count()
        self._poll = select.poll()
        self._reader: tuple[Task, int] | None = None
        self.current: Task | None = None
        self.signals: socket.socket | None = None

    def start(self, coroutine: Coroutine[Any, Any, Any], on_end: Callable[[Task], None]) -> Task:
        """Make a task that begins in the next turn."""
        task = Task(coroutine, on_end)
        self.ready.append((task, task.turns))
        return task

    def resume(self, task: Task) -> None:
        """Let a suspended task go on in the next turn."""
        self.ready.append((task, task.turns))

    def cancel(self, task: Task) -> None:
        """Raise :class:`Cancelled` where a task is suspended."""
        task.cancelled = True
        self.resume(task)

    def watch(self, fd: int) -> None:
        """Take a descriptor that tasks wait for."""
        self._poll.register(fd, select.POLLIN)

    def read(self, task: Task) -> None:
        """Let a task go on when the descriptor is readable."""
        self._reader = (task, task.turns)

    def sleep(self, task: Task, seconds: float) -> None:
        """Let a task go on after a while."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._number), task, task.turns))

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run until ``main`` has ended; its result."""
        ended: list[Task] = []
        results: list[T] = []

        async def first() -> None:
            results.append(await main)

        if self.signals is not None:
            self.watch(self.signals.fileno())
        self.start(first(), ended.append)
        while not ended:
            self._wait()
            for _ in range(len(self.ready)):
                self._step(*self.ready.popleft())
        return results[0]

    def _wait(self) -> None:
        """Wait until something can go on; look what is there if something can already."""
        now = time.monotonic()
        timeout = None
        if self.ready:
            timeout = 0.0
        elif self._timers:
            timeout = max(0.0, self._timers[0][0] - now) * 1000 + 1
        for fd, _ in self._poll.poll(timeout):
            if self.signals is not None and fd == self.signals.fileno():
                drain(self.signals)
            elif self._reader is not None:
                self.ready.append(self._reader)
                self._reader = None
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, task, turns = heapq.heappop(self._timers)
            self.ready.append((task, turns))

    def _step(self, task: Task, turns: int) -> None:
        """Step a task, unless it has gone on for another reason since it was to."""
        if task.turns != turns:
            return
        task.turns += 1
        self.current = task
        try:
            if task.cancelled:
                task.cancelled = False
                trap = task.coroutine.throw(Cancelled())
            else:
                trap = task.coroutine.send(None)
        except StopIteration:
            task.on_end(task)
        except Cancelled:
            task.on_end(task)
        else:
            trap.begin(task)


class NoneParking:
    """See :class:`tricorn._backends.base.Parking`."""

    __slots__ = ("_kernel", "_task", "_woken")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._task: Task | None = None
        self._woken = False

    async def wait(self) -> None:
        """See :class:`tricorn._backends.base.Parking`."""
        if not self._woken:
            try:
                await Trap(self._begin).suspend()
            finally:
                self._task = None

    def _begin(self, task: Task) -> None:
        self._task = task

    def wake(self) -> None:
        """See :class:`tricorn._backends.base.Parking`."""
        self._woken = True
        if self._task is not None:
            self._kernel.resume(self._task)
            self._task = None


class NoneGroup:
    """Tasks that the group waits for."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._tasks: set[Task] = set()
        self._ending = False
        self._empty: NoneParking | None = None

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        self._tasks.add(self._kernel.start(function(), self._end))

    def cancel(self) -> None:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        self._ending = True
        for task in self._tasks:
            self._kernel.cancel(task)

    def ending(self) -> bool:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        return self._ending

    def stray(self) -> None:
        """See :class:`tricorn._backends.base.TaskGroup`: nobody but the group cancels a task."""

    def canceller(self, coroutine: object) -> Callable[[], None]:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        task = self._kernel.current
        assert task is not None

        def cancel() -> None:
            self._kernel.cancel(task)

        return cancel

    def refuse(self, trap: object) -> BaseException | None:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        if isinstance(trap, Trap):
            return None
        return RuntimeError(
            f"the application awaits {trap!r}, and without an async library there are only receive() and send(): "
            "serve it with --async-library asyncio, trio or curio"
        )

    async def wait(self) -> None:
        """Wait until no task is left."""
        while self._tasks:
            self._empty = NoneParking(self._kernel)
            await self._empty.wait()

    def _end(self, task: Task) -> None:
        self._tasks.discard(task)
        if not self._tasks and self._empty is not None:
            self._empty.wake()


class NoneBackend:
    """See :class:`tricorn._backends.base.Backend`."""

    name = "none"
    _kernel: Kernel

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`tricorn._backends.base.Backend`."""
        self._kernel = Kernel()
        with signal_reader() as self._kernel.signals:
            return self._kernel.run(main())

    def running(self) -> bool:
        """See :class:`tricorn._backends.base.Backend`: there is nothing that could run."""
        return False

    async def shelter(
        self,
        main: Callable[[], Coroutine[Any, Any, T]],
        cancelled: Callable[[], Coroutine[Any, Any, None]],
    ) -> T:
        """See :class:`tricorn._backends.base.Backend`: nobody could cancel the calling task."""
        return await main()

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[NoneGroup]:
        """See :class:`tricorn._backends.base.Backend`."""
        group = NoneGroup(self._kernel)
        try:
            yield group
            await group.wait()
        except BaseException:
            group.cancel()
            await group.wait()
            raise

    @asynccontextmanager
    async def watch(self, fd: int) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
        """See :class:`tricorn._backends.base.Backend`."""
        self._kernel.watch(fd)
        readable = Trap(self._kernel.read)
        yield readable.suspend

    def park(self) -> NoneParking:
        """See :class:`tricorn._backends.base.Backend`."""
        return NoneParking(self._kernel)

    def checkpoint(self) -> Awaitable[None]:
        """See :class:`tricorn._backends.base.Backend`."""
        return Trap(self._kernel.resume).suspend()

    def sleep(self, seconds: float) -> Awaitable[None]:
        """See :class:`tricorn._backends.base.Backend`."""
        return Trap(lambda task: self._kernel.sleep(task, seconds)).suspend()


backend = NoneBackend()
