"""What Tricorn asks of an async library: the contract that every backend fulfils.

The C core owns sockets, timers and protocols. A library is only asked to run tasks, to wait for one
descriptor, to suspend and resume a task, and to cancel. A backend is an object with the members of
:class:`Backend`; it is found by name through the entry-point group ``tricorn.backends``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Parking(Protocol):
    """One place where one task waits to be woken.

    ``wake`` may come before ``wait``: then ``wait`` does not suspend for long. Waking twice, or after the
    waiter was cancelled, does nothing.
    """

    def wait(self) -> Awaitable[Any]:
        """Suspend the calling task until :meth:`wake`; a cancellation is raised as the library does."""
        ...

    def wake(self) -> Awaitable[Any] | None:
        """Let the waiter go on, at the earliest after the caller suspends.

        Returns an awaitable where the library can only wake by suspending; the caller then awaits it.
        """
        ...


class TaskGroup(Protocol):
    """The tasks of one running server. Leaving the context waits for them all."""

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Awaitable[Any] | None:
        """Start ``await function()`` as a task of the library, in the context variables of the server.

        Returns an awaitable where the library can only spawn by suspending; the caller then awaits it.
        The function never raises, save for a cancellation.
        """
        ...

    def cancel(self) -> Awaitable[Any] | None:
        """Cancel every task of the group that has not ended; they may still clean up."""
        ...

    def ending(self) -> bool:
        """Tell whether the calling task, one of the group, is cancelled for good.

        A cancellation while this is false is a stray one: it ends a task, not the server.
        """
        ...

    def stray(self) -> Callable[[], object] | None:
        """Return a function that tells whether a cancellation waits for the calling task, one of the group.

        It is called after every exchange, so that what one has done to its task is not felt by the next.
        ``None`` where the library leaves no cancellation behind the scope that asked for it.
        """
        ...

    def canceller(self, coroutine: object) -> Callable[[], Awaitable[Any] | None]:
        """Return a function that cancels the calling task, one of the group, whose ``function`` gave ``coroutine``.

        The function is called once at most, by another task, while this one is suspended. The cancellation is the
        library's own: it reaches all that the task has entered and started in structured ways, and is felt at the
        next place where the task suspends, or where it is suspended now. Where the function gives an awaitable,
        the caller awaits it; it does not wait for the task's end. What it left behind ends with the task.
        """
        ...

    @property
    def refuse(self) -> Callable[[object], BaseException | None] | None:
        """A function that gets what an application yields and returns the exception to raise there, or ``None``.

        It is for a library that would fall over what is not its own, such as a future of another library.
        ``None`` where the library itself raises an exception in the task that yielded.
        """
        ...


class Backend(Protocol):
    """An async library, as the server sees it."""

    name: str

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Start the library, run ``await main()`` in it and return its result."""
        ...

    def running(self) -> bool:
        """Tell whether the caller runs in a task of the library."""
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
        """Open a group of tasks that lasts as long as the context."""
        ...

    def watch(self, fd: int) -> AbstractAsyncContextManager[Callable[[], Awaitable[Any]]]:
        """Prepare to wait for ``fd``; the function that it gives suspends until ``fd`` is readable.

        Only one task at a time waits. It may return early; it must not miss that the descriptor is readable.
        """
        ...

    def park(self) -> Parking:
        """Return a new place to wait at, for the calling task."""
        ...

    def checkpoint(self) -> Awaitable[Any]:
        """Let every other runnable task run once; a cancellation is raised here."""
        ...

    def sleep(self, seconds: float) -> Awaitable[Any]:
        """Suspend for ``seconds`` by the library's clock."""
        ...
