"""trio: serving tasks live in one nursery and wait by trio's low-level calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import outcome
import trio

T = TypeVar("T")


class TrioParking:
    """See :class:`tricorn._backends.base.Parking`."""

    __slots__ = ("_task", "_woken")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._woken = False

    async def wait(self) -> None:
        """See :class:`tricorn._backends.base.Parking`."""
        if not self._woken:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)

    def wake(self) -> None:
        """See :class:`tricorn._backends.base.Parking`."""
        self._woken = True
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def _abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class TrioGroup:
    """Tasks of one nursery."""

    refuse = None  # trio raises in a task that yields something else

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._scopes: dict[trio.lowlevel.Task, trio.CancelScope] = {}

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        self._nursery.start_soon(self._run, function, name="tricorn")

    def cancel(self) -> None:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        self._nursery.cancel_scope.cancel()

    def ending(self) -> bool:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        # The nursery's, not the task's: an application may have left a scope of its own open.
        return self._nursery._cancel_status.effectively_cancelled

    def stray(self) -> Callable[[], object]:
        """See :class:`tricorn._backends.base.TaskGroup`: scopes and nurseries that were left open stay in the task."""
        task = trio.lowlevel.current_task()
        status = task._cancel_status
        return lambda: task._cancel_status is not status or task._child_nurseries

    def canceller(self, coroutine: object) -> Callable[[], None]:
        """See :class:`tricorn._backends.base.TaskGroup`.

        A cancel scope for every request would cost those that nobody cancels 3 µs each. So it is put into the task
        when it is needed: around what the task has entered by then, as ``nursery.start()`` does with what it moves.
        """
        task = trio.lowlevel.current_task()
        around, entered = self._nursery._cancel_status, task._cancel_status
        outermost = None
        status: Any = entered
        while status is not around:
            outermost, status = status, status.parent
        scope = self._scopes[task] = trio.CancelScope()
        task._activate_cancel_status(around)
        scope.__enter__()
        if outermost is not None:
            outermost.parent = scope._cancel_status
            task._activate_cancel_status(entered)
        return scope.cancel

    async def _run(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = trio.lowlevel.current_task()
        status = task._cancel_status
        cancelled: BaseException | None = None
        try:
            await function()
        except (trio.Cancelled, BaseExceptionGroup) as error:
            cancelled = error
        while task._child_nurseries:  # trio would end the server with a task that has left a nursery open
            nursery = task._child_nurseries[-1]
            nursery.cancel_scope.cancel()
            with suppress(BaseException):
                await nursery._nested_child_finished(None)
        scope = self._scopes.pop(task, None)
        inside = status if scope is None else scope._cancel_status
        if task._cancel_status is not inside:
            task._activate_cancel_status(inside)
        if scope is not None and scope.__exit__(type(cancelled) if cancelled else None, cancelled, None):
            return
        if cancelled is not None:
            raise cancelled


class TrioBackend:
    """See :class:`tricorn._backends.base.Backend`."""

    name = "trio"

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`tricorn._backends.base.Backend`."""
        return trio.run(main)

    def running(self) -> bool:
        """See :class:`tricorn._backends.base.Backend`."""
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            return False
        return True

    async def shelter(
        self,
        main: Callable[[], Coroutine[Any, Any, T]],
        cancelled: Callable[[], Coroutine[Any, Any, None]],
    ) -> T:
        """See :class:`tricorn._backends.base.Backend`."""
        ended: list[outcome.Maybe[T]] = []

        async def run() -> None:
            with trio.CancelScope(shield=True):
                ended.append(await outcome.acapture(main))
            nursery.cancel_scope.cancel()

        async def wait() -> None:
            try:
                await trio.sleep_forever()
            finally:
                if not ended:
                    with trio.CancelScope(shield=True):
                        await cancelled()

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run, name="tricorn")
                await wait()
        except BaseException:
            if ended:
                ended[0].unwrap()  # an exception of main() is not lost to the cancellation
            raise
        return ended[0].unwrap()

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[TrioGroup]:
        """See :class:`tricorn._backends.base.Backend`."""
        async with trio.open_nursery() as nursery:
            yield TrioGroup(nursery)

    @asynccontextmanager
    async def watch(self, fd: int) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
        """See :class:`tricorn._backends.base.Backend`."""

        def wait() -> Awaitable[None]:
            return trio.lowlevel.wait_readable(fd)

        try:
            yield wait
        finally:
            trio.lowlevel.notify_closing(fd)

    def park(self) -> TrioParking:
        """See :class:`tricorn._backends.base.Backend`."""
        return TrioParking()

    def checkpoint(self) -> Awaitable[None]:
        """See :class:`tricorn._backends.base.Backend`."""
        return trio.lowlevel.checkpoint()

    def sleep(self, seconds: float) -> Awaitable[None]:
        """See :class:`tricorn._backends.base.Backend`."""
        return trio.sleep(seconds)


backend = TrioBackend()
