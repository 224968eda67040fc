"""asyncio: the loop's reader callback steps the leader's task at once, through the core's own bridge."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Any, TypeVar

from tricorn import _core
from tricorn._backends._signals import drain, signal_reader
from tricorn.errors import StartupError

T = TypeVar("T")


# Python 3.11 formats a name for every task: 1,000 of the 53,900 instructions of a request that suspends on uvloop.
# Later versions do it when a name is asked for.
NAME = "tricorn" if sys.version_info < (3, 12) else None
SWEEP_LEAST = 64  # tasks kept at least before those that have ended are looked for


@contextmanager
def _cancelled_once() -> Iterator[None]:
    """Keep anyio from cancelling the task again and again, as it does until the task has left a cancelled scope."""
    anyio = sys.modules.get("anyio")
    with nullcontext() if anyio is None else anyio.CancelScope(shield=True):
        yield


class AsyncioGroup:
    """Tasks of one loop."""

    refuse = None  # asyncio raises in a task that yields something else

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweep_at = SWEEP_LEAST
        self._ending = False

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        # Not by the loop's task factory: one that starts tasks at once would nest the next leader in this one.
        self._tasks.add(asyncio.Task(function(), loop=self._loop, name=NAME))
        if len(self._tasks) > self._sweep_at:
            self._sweep()

    def cancel(self) -> None:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        self._ending = True
        for task in tuple(self._tasks):
            task.cancel()

    def ending(self) -> bool:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        return self._ending

    def stray(self) -> Callable[[], object] | None:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        task = asyncio.current_task(self._loop)
        return None if task is None else task.cancelling

    def canceller(self, coroutine: object) -> Callable[[], None]:
        """See :class:`tricorn._backends.base.TaskGroup`."""
        task = asyncio.current_task(self._loop)
        assert task is not None

        def cancel() -> None:
            task.cancel()

        return cancel

    async def wait(self) -> None:
        """Wait until no task is left; a cancellation of the waiting task is one of theirs."""
        cancelled: asyncio.CancelledError | None = None
        while self._tasks:
            try:
                with _cancelled_once() if cancelled is not None else nullcontext():
                    await asyncio.wait(self._tasks)
            except asyncio.CancelledError as error:
                cancelled = error
                self.cancel()
            self._sweep()
        if cancelled is not None:
            raise cancelled

    def _sweep(self) -> None:
        """Forget tasks that have ended: many at once, as a callback for each would cost more than the task."""
        self._tasks = {task for task in self._tasks if not task.done()}
        self._sweep_at = 2 * len(self._tasks) + SWEEP_LEAST


class AsyncioBackend:
    """See :class:`tricorn._backends.base.Backend`.

    Args:
        factory: What makes the loop; by default asyncio's own does.
    """

    name = "asyncio"
    _made: _core.LoopBridge | None = None

    def __init__(self, factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
        self._factory = factory

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new event loop.

        Raises:
            StartupError: The factory gave something else.
        """
        loop = self._factory()
        if not isinstance(loop, asyncio.AbstractEventLoop):
            raise StartupError(f"the factory of the loop gave {loop!r}", "a loop of asyncio's is wanted")
        return loop

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`tricorn._backends.base.Backend`."""
        with asyncio.Runner(loop_factory=self.new_loop) as runner, signal_reader() as reader:
            if reader is None:
                return runner.run(main())
            loop = runner.get_loop()
            loop.add_reader(reader, drain, reader)
            try:
                return runner.run(main())
            finally:
                loop.remove_reader(reader)

    def running(self) -> bool:
        """See :class:`tricorn._backends.base.Backend`."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        return self.drives(loop)

    def drives(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Tell whether a loop is of this library."""
        return type(loop).__module__.partition(".")[0] != "uvloop"

    async def shelter(
        self,
        main: Callable[[], Coroutine[Any, Any, T]],
        cancelled: Callable[[], Coroutine[Any, Any, None]],
    ) -> T:
        """See :class:`tricorn._backends.base.Backend`."""
        task = asyncio.get_running_loop().create_task(main(), name="tricorn")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():
                await cancelled()
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            if not task.cancelled():
                task.result()
            raise

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[AsyncioGroup]:
        """See :class:`tricorn._backends.base.Backend`."""
        group = AsyncioGroup(asyncio.get_running_loop())
        try:
            yield group
        except BaseException:
            group.cancel()
            with _cancelled_once():
                await group.wait()
            raise
        await group.wait()

    @asynccontextmanager
    async def watch(self, fd: int) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
        """See :class:`tricorn._backends.base.Backend`."""
        loop = asyncio.get_running_loop()
        loop.add_reader(fd, self._bridge.ready)
        try:
            yield self._bridge.wait
        finally:
            loop.remove_reader(fd)

    @property
    def _bridge(self) -> _core.LoopBridge:
        """The bridge to the loop that the server runs in."""
        if self._made is None:
            self._made = _core.LoopBridge(asyncio.get_running_loop(), asyncio.CancelledError)
        return self._made

    def park(self) -> _core.LoopFuture:
        """See :class:`tricorn._backends.base.Backend`."""
        return self._bridge.park()

    def checkpoint(self) -> Awaitable[None]:
        """See :class:`tricorn._backends.base.Backend`."""
        return asyncio.sleep(0)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """See :class:`tricorn._backends.base.Backend`."""
        return asyncio.sleep(seconds)


backend = AsyncioBackend()
