"""What Tricorn asks of an async library: the contract that every backend fulfils.

The C core owns sockets, timers and protocols. A library is only asked to run tasks, to wait for one
descriptor, to suspend and resume a task, and to cancel. A backend is an object with the members of
:class:`Backend`; it is found by name through the entry-point group ``tricorn.backends``.

Everything here but :meth:`Backend.run` and :meth:`Backend.running` is called in the thread and in a task of the
library, never from a signal handler or another thread: those reach the server through the watched descriptor.
A *cancellation* is an exception of the library that is no ``Exception``, raised where a task is suspended. What is
awaitable is awaited once, at once or not at all; it may be dropped, closed, or have an exception thrown into it.
:mod:`tricorn.testing.backend_suite` checks what is promised here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Parking(Protocol):
    """One place where one task waits once to be woken; after that it is dropped.

    A wake-up is kept: when ``wake`` comes before ``wait``, ``wait`` returns without waiting for another. Waking
    twice, or after the waiter was cancelled or has ended, does nothing: neither raises it an exception nor has it
    a task go on that waits elsewhere by then.
    """

    def wait(self) -> Awaitable[Any]:
        """Suspend the calling task until :meth:`wake`; a cancellation is raised as the library does.

        It returns for no other reason. When a cancellation and a wake-up come together, either may win; the
        task that then suspends elsewhere is cancelled there, if it was not here.
        """
        ...

    def wake(self) -> Awaitable[Any] | None:
        """Let the waiter go on, and no other task; not within this call.

        Any task of the library may call it, that of the waiter too.
        Returns an awaitable where the library can only wake by suspending; the caller then awaits it.
        """
        ...


class TaskGroup(Protocol):
    """The tasks of one running server. Leaving the context waits for them all."""

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Awaitable[Any] | None:
        """Start ``await function()`` as a task of the library, which sees the caller's context variables.

        The function does not begin within this call. Returns an awaitable where the library can only spawn by
        suspending; the caller then awaits it, and the function may begin before that returns. Any task of the
        library may call it until the group has been left, a task of the group also while the group is being
        left. The function never raises, save for a cancellation, which is the end of its task and no error.
        """
        ...

    def cancel(self) -> Awaitable[Any] | None:
        """Cancel every task of the group that has not ended; they may still clean up.

        It reaches a task wherever it suspends: at a parking, a checkpoint, a sleep or the descriptor. One that
        runs, is about to, or has not begun is cancelled where it suspends next, or never begins. Tasks of other
        groups and the caller, unless it is of the group, go on. Calling it again does no harm.
        """
        ...

    def ending(self) -> bool:
        """Tell whether the calling task, one of the group, is cancelled for good: from :meth:`cancel` on.

        A cancellation while this is false is a stray one: it ends a task, not the server.
        """
        ...

    def stray(self) -> Callable[[], object] | None:
        """Return a function that tells whether a cancellation waits for the calling task, one of the group.

        This is called once in each task, before it first suspends; what it returns, after every exchange, so that
        what one has done to its task is not felt by the next. It is false in a task that nobody has cancelled.
        ``None`` where the library leaves no cancellation behind the scope that asked for it.
        """
        ...

    def canceller(self, coroutine: object) -> Callable[[], Awaitable[Any] | None]:
        """Return a function that cancels the calling task, one of the group, whose ``function`` gave ``coroutine``.

        The function is called once at most, by another task, while this one is suspended. The cancellation is the
        library's own: it reaches all that the task has entered and started in structured ways, and is felt at the
        next place where the task suspends, or where it is suspended now. Where the function gives an awaitable,
        the caller awaits it; it does not wait for the task's end. What it left behind ends with the task.
        The function of the task catches the cancellation.
        """
        ...

    @property
    def refuse(self) -> Callable[[object], BaseException | None] | None:
        """A function that gets what an application yields and returns the exception to raise there, or ``None``.

        It is for a library that would fall over what is not its own, such as a future of another library.
        It gives ``None`` for whatever the library's own awaitables yield. The property is ``None`` where the
        library itself raises an exception in the task that yielded.
        """
        ...


class Backend(Protocol):
    """An async library, as the server sees it.

    Each server has a shallow copy of the registered object, made by ``copy.copy()``, for one run in one thread. So
    what a run keeps is set on the copy, not in what the copies share. ``name`` is that of the entry point.
    """

    name: str

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Start the library, run ``await main()`` in it and return its result, or raise its exception as it is.

        In the main thread signals should wake it (``signal.set_wakeup_fd()``): else the handler of one that comes
        just before the library waits, or to another thread, is called at the next event.
        """
        ...

    def running(self) -> bool:
        """Tell whether the caller runs in a task of the library; callable from anywhere, in any thread."""
        ...

    async def shelter(
        self,
        main: Callable[[], Coroutine[Any, Any, T]],
        cancelled: Callable[[], Coroutine[Any, Any, None]],
    ) -> T:
        """Run ``await main()`` to its end and return its result, or raise its exception as it is.

        When the calling task is cancelled meanwhile, ``main`` is not: ``await cancelled()`` is called, which is
        to have it end soon, and the cancellation is raised when it has. A library that can cancel a task
        again calls it again.
        """
        ...

    def tasks(self) -> AbstractAsyncContextManager[TaskGroup]:
        """Open a group of tasks that lasts as long as the context.

        Leaving it waits until every task has ended, those too that its tasks start meanwhile. An exception that
        leaves it, a cancellation too, cancels the group, waits for it and goes on, perhaps in an exception group.
        Groups may be opened within each other, also by an application's task.
        """
        ...

    def watch(self, fd: int) -> AbstractAsyncContextManager[Callable[[], Awaitable[Any]]]:
        """Prepare to wait for ``fd``; the function that it gives suspends until ``fd`` is readable.

        Only one task at a time waits, any task of the library. It may return early, as the caller looks itself;
        it must not miss that the descriptor is readable, also if it was so before the wait or before the context,
        and as often as it is waited for without reading. Other tasks run meanwhile. A wait that is cancelled
        leaves nothing behind: another task may wait next. Leaving the context does not close the descriptor.
        """
        ...

    def park(self) -> Parking:
        """Return a new place to wait at, for the calling task."""
        ...

    def checkpoint(self) -> Awaitable[Any]:
        """Let every other runnable task run once; a cancellation is raised here, of a running task too."""
        ...

    def sleep(self, seconds: float) -> Awaitable[Any]:
        """Suspend for ``seconds``, 0 or more, by the library's clock, and not less; a cancellation ends it at once."""
        ...
