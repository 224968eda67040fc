"""curio: every request to its kernel is a trap, so spawning and waking give something to await."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from tricorn._backends._curio_import import import_curio
from tricorn._backends._signals import drain, signal_reader

curio = import_curio()
traps = curio.traps

T = TypeVar("T")


async def _drain_for_ever(reader: socket.socket) -> None:
    """Let the kernel wake for signals."""
    while True:
        await traps._read_wait(reader)
        drain(reader)


class CurioParking:
    """See :class:`tricorn._backends.base.Parking`."""

    __slots__ = ("_barrier", "_woken")

    def __init__(self) -> None:
        self._barrier = curio.sched.SchedBarrier()
        self._woken = False

    async def wait(self) -> None:
        """See :class:`tricorn._backends.base.Parking`."""
        if not self._woken:
            await self._barrier.suspend("TRICORN_WAIT")

    def wake(self) -> Awaitable[None] | None:
        """See :class:`tricorn._backends.base.Parking`."""
        self._woken = True
        return self._barrier.wake() if len(self._barrier) else None


class CurioGroup:
    """Daemonic tasks that are joined when the group is left."""

    def __init__(self, known_traps: Container[object]) -> None:
        self._known_traps = known_traps
        self._tasks: set[Any] = set()
        self._tasks_of: dict[object, Any] = {}
        self._ending = False
        self._current: Any = None

    async def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        self._tasks.add(await curio.spawn(self._run(function), daemon=True))

    async def cancel(self) -> None:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        self._ending = True
        for task in tuple(self._tasks):
            await task.cancel(blocking=False)

    def ending(self) -> bool:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        return self._ending

    def stray(self) -> Callable[[], object] | None:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        task = self._current
        return lambda: task.cancelled

    def canceller(self, coroutine: object) -> Callable[[], Awaitable[Any]]:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        return partial(self._tasks_of[coroutine].cancel, blocking=False)

    def refuse(self, trap: object) -> BaseException | None:
        """See :class:`tricorn._backends.base.TaskGroup`; the kernel ends with all its tasks when a trap is unknown."""
        if type(trap) is tuple and trap and trap[0] in self._known_traps:
            return None
        return RuntimeError(
            f"curio can't wait for {trap!r}: is the application written for another async library?"
        )

    async def wait(self) -> None:
        """Wait until no task is left."""
        while self._tasks:
            await next(iter(self._tasks)).wait()

    async def _run(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = await curio.current_task()
        self._current = task  # for stray(), which the function calls before it suspends
        coroutine = function()
        self._tasks_of[coroutine] = task
        try:
            await coroutine
        finally:
            del self._tasks_of[coroutine]
            self._tasks.discard(task)


class _Descriptor:
    """A descriptor as an object: curio keeps the registration of objects, and renews that of plain numbers."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd


class CurioBackend:
    """See :class:`tricorn._backends.base.Backend`."""

    name = "curio"

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`tricorn._backends.base.Backend`."""

        async def woken(reader: socket.socket) -> T:
            waker = await curio.spawn(_drain_for_ever, reader, daemon=True)
            try:
                return await main()
            finally:
                await waker.cancel()

        with signal_reader() as reader:
            result: T = curio.run(main) if reader is None else curio.run(woken, reader)
        return result

    def running(self) -> bool:
        """See :class:`tricorn._backends.base.Backend`."""
        return bool(curio.meta.curio_running())

    async def shelter(
        self,
        main: Callable[[], Coroutine[Any, Any, T]],
        cancelled: Callable[[], Coroutine[Any, Any, None]],
    ) -> T:
        """See :class:`tricorn._backends.base.Backend`."""
        task = await curio.spawn(main, daemon=True)
        try:
            await task.wait()
        except curio.CancelledError:
            async with curio.disable_cancellation():
                await cancelled()
                await task.wait()
            if task.exception is not None:
                raise task.exception from None
            raise
        if task.exception is not None:
            raise task.exception
        result: T = task.result
        return result

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[CurioGroup]:
        """See :class:`tricorn._backends.base.Backend`."""
        kernel = await traps._get_kernel()
        group = CurioGroup(kernel._traps)
        try:
            yield group
            await group.wait()
        except BaseException:
            async with curio.disable_cancellation():
                await group.cancel()
                await group.wait()
            raise

    @asynccontextmanager
    async def watch(self, fd: int) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
        """See :class:`tricorn._backends.base.Backend`."""
        descriptor = _Descriptor(fd)

        def wait() -> Awaitable[Any]:
            waiting: Awaitable[Any] = traps._read_wait(descriptor)
            return waiting

        try:
            yield wait
        finally:
            await traps._io_release(descriptor)

    def park(self) -> CurioParking:
        """See :class:`tricorn._backends.base.Backend`."""
        return CurioParking()

    def checkpoint(self) -> Awaitable[Any]:
        """See :class:`tricorn._backends.base.Backend`."""
        turn: Awaitable[Any] = traps._sleep(0)
        return turn

    def sleep(self, seconds: float) -> Awaitable[Any]:
        """See :class:`tricorn._backends.base.Backend`."""
        sleeping: Awaitable[Any] = curio.sleep(seconds)
        return sleeping


backend = CurioBackend()
