"""The conformance kit finds each guarantee that a backend lacks: one mutant for each, and the check that must fail."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import os
import select
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any

import pytest
from small_loop import Cancelled, Loop, SmallBackend, SmallGroup, SmallParking, Task, Wait, cancel_oneself

from tricorn._backends.asyncio import AsyncioBackend, AsyncioGroup
from tricorn.backends import Backend
from tricorn.testing.backend_suite import CheckFailed, checks

SECONDS = 1.2


def mutant(base: type = SmallBackend, **members: Any) -> Any:
    """Return a backend with some of its members replaced."""
    return type("Mutant", (base,), members)()


def group(**members: Any) -> Any:
    """Return a backend whose groups have some of their members replaced."""
    return mutant(new_group=type("MutantGroup", (SmallGroup,), members))


def parking(**members: Any) -> Any:
    """Return a backend whose parkings have some of their members replaced."""
    return mutant(new_parking=type("MutantParking", (SmallParking,), members))


# --- run, running ---


def run_swallows(self: Any, main: Any) -> Any:
    with suppress(Exception):
        return SmallBackend.run(self, main)


def shared_loop(self: Any, main: Any) -> Any:
    """All copies of the backend use the loop that was made last."""
    loop = Loop()
    type(self).loop = loop
    return loop.run(main())


# --- groups ---


def spawn_at_once(self: Any, function: Any) -> None:
    SmallGroup.spawn(self, function)
    task = self.loop.ready.pop()
    before, self.loop.current.task = self.loop.current.task, task
    task.step()
    self.loop.current.task = before


def spawn_elsewhere(self: Any, function: Any) -> None:
    Context().run(SmallGroup.spawn, self, function)


def spawn_loses(self: Any, function: Any, count: Iterator[int] = itertools.count(1)) -> None:  # noqa: B008
    if next(count) % 100:
        SmallGroup.spawn(self, function)


def spawn_every_other(self: Any, function: Any, count: Iterator[int] = itertools.count()) -> None:  # noqa: B008
    if next(count) % 3 != 2:
        SmallGroup.spawn(self, function)


def spawn_untracked(self: Any, function: Any) -> None:
    self.loop.start(function())


async def join_the_first(self: Any) -> None:
    """Waits for the tasks that there were when the group was left, not for those that they start."""
    for task in tuple(self.tasks):
        while not task.done:
            await Wait(Wait.end).suspend()


@asynccontextmanager
async def tasks_left_alone(self: Any) -> AsyncIterator[SmallGroup]:
    """An exception that leaves the context leaves the tasks at work."""
    yield self.new_group(self.loop)


@asynccontextmanager
async def tasks_swallow(self: Any) -> AsyncIterator[SmallGroup]:
    with suppress(Exception):
        async with SmallBackend.tasks(self) as opened:
            yield opened


def cancel_everybody(self: Any) -> None:
    """Takes every task that sleeps for one of the group."""
    for _, _, wait in self.loop.timers:
        if wait.task is not None:
            wait.task.cancel()
    SmallGroup.cancel(self)


def cancel_when(wanted: Callable[[Task], bool]) -> Any:
    """A cancel that reaches the tasks that are wanted alone."""

    def cancel(self: Any) -> None:
        self.cancelled = True
        for task in tuple(self.tasks):
            if wanted(task):
                task.cancel()

    return group(cancel=cancel)


def sleeps(task: Task) -> bool:
    return any(wait is task.wait for _, _, wait in task.loop.timers)


def reads(task: Task) -> bool:
    return task.wait in task.loop.readers.values()


def runs(task: Task) -> bool:
    return task.wait is None


def begun(task: Task) -> bool:
    return inspect.getcoroutinestate(task.coroutine) != inspect.CORO_CREATED


def parked(task: Task) -> bool:
    return not sleeps(task) and not reads(task) and not runs(task)


def cancel_as_an_error(self: Any) -> None:
    """Raises an Exception, which an application takes for a failure."""
    self.cancelled = True
    for task in tuple(self.tasks):
        inner = task.coroutine
        task.coroutine = Substituting(inner)
        task.cancel()


class Substituting:
    """A coroutine in which a cancellation is another exception."""

    def __init__(self, inner: Any) -> None:
        self.send = inner.send
        self.inner = inner

    def throw(self, _error: BaseException) -> Any:
        return self.inner.throw(ValueError("cancelled"))


# --- shelter ---


async def shelter_nothing(self: Any, main: Any, cancelled: Any) -> Any:
    try:
        return await main()
    except Cancelled:
        await cancelled()
        raise


async def shelter_tells_nobody(self: Any, main: Any, cancelled: Any) -> Any:
    async def nobody() -> None:
        pass

    return await SmallBackend.shelter(self, main, nobody)


async def shelter_keeps_the_cancellation(self: Any, main: Any, cancelled: Any) -> Any:
    with suppress(Cancelled):
        return await SmallBackend.shelter(self, main, cancelled)


async def shelter_has_no_result(self: Any, main: Any, cancelled: Any) -> Any:
    await SmallBackend.shelter(self, main, cancelled)


async def shelter_groups(self: Any, main: Any, cancelled: Any) -> Any:
    try:
        return await SmallBackend.shelter(self, main, cancelled)
    except Exception as error:
        raise ExceptionGroup("of a task", [error]) from None


# --- park ---


def wake_not_kept(self: Any) -> None:
    if self.waiting is not None:
        self.waiting.end()


def wake_nobody(self: Any) -> None:
    self.woken = True


def wake_the_task(self: Any) -> None:
    """Has the task that waited here go on, wherever it waits by now."""
    self.woken = True
    task = self.waiting and self.waiting.task
    if task is not None and task.wait is not None:
        task.wait.end()


def wake_strictly(self: Any) -> None:
    """Takes it for an error that nobody waits any longer."""
    if self.waiting is not None and self.waiting.ended:
        raise RuntimeError("nobody waits")
    SmallParking.wake(self)


def wake_within(self: Any) -> None:
    """Runs the waiter within wake()."""
    SmallParking.wake(self)
    if self.waiting is not None:
        task = self.waiting.task
        if task in task.loop.ready:
            task.loop.ready.remove(task)
            task.step()


# --- watch ---


def watched(wait_for: Callable[[SmallBackend, int], Awaitable[Any]], *, close: bool = False) -> Any:
    """A backend that waits for descriptors in another way."""

    @asynccontextmanager
    async def watch(self: Any, fd: int) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
        try:
            yield lambda: wait_for(self, fd)
        finally:
            self.loop.forget(fd)
            if close:
                os.close(fd)

    return mutant(watch=watch)


def readable(self: SmallBackend, fd: int) -> Awaitable[Any]:
    return Wait(lambda wait: self.loop.readable(fd, wait)).suspend()


async def once_readable(self: Any, fd: int) -> None:
    """Tells of a descriptor once, as a registration that is not renewed."""
    if getattr(self, "told", False):
        await Wait().suspend()
    await readable(self, fd)
    self.told = True


async def never_readable(self: Any, fd: int) -> None:
    await Wait().suspend()


def at_a_checkpoint(self: Any, fd: int) -> Awaitable[Any]:
    return SmallBackend.checkpoint(self)


async def busily(self: Any, fd: int) -> None:
    """Waits in the kernel itself, so that no other task runs."""
    while not select.select([fd], [], [], 0.01)[0]:
        pass


async def uncancelled(self: Any, fd: int) -> None:
    """Swallows the cancellation."""
    while True:
        with suppress(Cancelled):
            return await readable(self, fd)


async def left_registered(self: Any, fd: int) -> None:
    """A wait that was cancelled has nobody wait for the descriptor again."""
    if getattr(self, "broken", False):
        await Wait().suspend()
    try:
        await readable(self, fd)
    except Cancelled:
        self.broken = True
        raise


# --- checkpoint, sleep ---


async def nothing(*_: Any) -> None:
    pass


async def checkpoint_uncancelled(self: Any) -> None:
    with suppress(Cancelled):
        await SmallBackend.checkpoint(self)


def sleep_short(self: Any, seconds: float) -> Any:
    return SmallBackend.sleep(self, seconds / 2)


async def sleep_in_the_kernel(self: Any, seconds: float) -> None:
    time.sleep(seconds)


async def sleep_uncancelled(self: Any, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        with suppress(Cancelled):
            await SmallBackend.sleep(self, left)


async def sleep_busily(self: Any, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await self.checkpoint()


# --- what is left behind or disturbed ---


async def join_until_cancelled(self: Any) -> None:
    while self.tasks:
        self.empty = SmallParking()
        await self.empty.wait()


async def shelter_prefers_the_cancellation(self: Any, main: Any, cancelled: Any) -> Any:
    seen = []

    async def noting() -> None:
        seen.append(True)
        await cancelled()

    try:
        return await SmallBackend.shelter(self, main, noting)
    except Exception as error:
        if seen:
            raise Cancelled from error
        raise


def cancelled_at_once(self: Any, coroutine: object) -> Any:
    cancel = SmallGroup.canceller(self, coroutine)
    cancel()
    return cancel


async def wait_and_stay(self: Any) -> None:
    self.task = Loop.current.task
    await SmallParking.wait(self)


def wake_who_was_there(self: Any) -> None:
    if not self.woken and hasattr(self, "task") and self.task.wait is not None:
        self.task.wait.end()
    self.woken = True


def run_and_keep_a_descriptor(self: Any, main: Any) -> Any:
    os.dup(0)
    return SmallBackend.run(self, main)


def run_and_keep_a_thread(self: Any, main: Any) -> Any:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return SmallBackend.run(self, main)


# --- asyncio ---


class ForgetsReadiness(AsyncioBackend):
    """Has the reader removed after its first report."""

    @asynccontextmanager
    async def watch(self, fd: int) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
        loop = asyncio.get_running_loop()
        seen = asyncio.Event()

        def report() -> None:
            loop.remove_reader(fd)
            seen.set()

        async def wait() -> None:
            await seen.wait()
            seen.clear()

        loop.add_reader(fd, report)
        yield wait


class EagerGroup(AsyncioGroup):
    """Does not wait for its tasks."""

    async def wait(self) -> None:
        pass


class LeavesTasks(AsyncioBackend):
    """Groups that are left at once."""

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[AsyncioGroup]:
        yield EagerGroup(asyncio.get_running_loop())


def asyncio_swallows(self: Any, main: Any) -> Any:
    with suppress(Exception):
        return AsyncioBackend.run(self, main)


async def _unshielded(self: Any, main: Callable[[], Coroutine[Any, Any, Any]], cancelled: Any) -> Any:
    return await main()


MUTANTS: list[tuple[str, Any, str]] = [
    ("it has no name", mutant(name=""), "name_is_a_text"),
    (
        "run gives nothing",
        mutant(run=lambda self, main: (SmallBackend.run(self, main), None)[1]),
        "run_returns_the_result",
    ),
    ("run swallows exceptions", mutant(run=run_swallows), "run_raises_the_exception"),
    ("running is always true", mutant(running=lambda self: True), "running_is_true_in_tasks_alone"),
    ("running is always false", mutant(running=lambda self: False), "running_is_true_in_tasks_alone"),
    ("one loop for all copies", mutant(run=shared_loop), "copies_run_side_by_side"),
    ("spawn loses tasks", group(spawn=spawn_loses), "spawn_runs_every_function"),
    ("spawn begins at once", group(spawn=spawn_at_once), "spawn_does_not_begin_at_once"),
    ("spawn in an empty context", group(spawn=spawn_elsewhere), "spawn_keeps_context_variables"),
    ("spawn forgets the group", group(spawn=spawn_untracked), "group_waits_for_its_tasks"),
    ("join does not wait", group(join=nothing), "group_waits_for_its_tasks"),
    ("join waits for the first", group(join=join_the_first), "spawn_from_a_task_of_the_group"),
    ("exception leaves tasks", mutant(tasks=tasks_left_alone), "group_left_by_an_exception_cancels"),
    ("group swallows exceptions", mutant(tasks=tasks_swallow), "group_left_by_an_exception_cancels"),
    (
        "cancel misses parked tasks",
        cancel_when(lambda task: not parked(task)),
        "cancel_reaches_a_parked_task",
    ),
    ("cancel misses sleepers", cancel_when(lambda task: not sleeps(task)), "cancel_reaches_a_sleeping_task"),
    ("cancel misses the ready", cancel_when(lambda task: not runs(task)), "cancel_reaches_a_checkpoint"),
    (
        "cancel misses the watcher",
        cancel_when(lambda task: not reads(task)),
        "cancel_reaches_a_task_that_watches",
    ),
    ("cancel misses the new", cancel_when(begun), "cancel_reaches_a_task_not_begun"),
    ("cancel raises an error", group(cancel=cancel_as_an_error), "cancel_reaches_a_parked_task"),
    ("cancel hits other groups", group(cancel=cancel_everybody), "cancel_is_of_one_group"),
    ("ending is always true", group(ending=lambda self: True), "ending_tells_a_cancelled_group"),
    ("ending is always false", group(ending=lambda self: False), "ending_tells_a_cancelled_group"),
    ("stray is always true", group(stray=lambda self: lambda: True), "stray_is_false_without_a_cancellation"),
    ("stray is always false", group(stray=lambda self: lambda: False), "stray_tells_a_cancellation"),
    ("stray fails the server", group(stray=lambda self: None), "i7_a_stray_cancellation_ends_no_server"),
    (
        "a canceller cancels nobody",
        group(canceller=lambda self, _: lambda: None),
        "canceller_cancels_one_task",
    ),
    ("a canceller cancels all", group(canceller=lambda self, _: self.cancel), "canceller_cancels_one_task"),
    ("refuse takes all", group(refuse=lambda self, trap: None), "refuse_lets_own_traps_pass"),
    ("refuse takes aliens", group(refuse=None), "i7_what_is_no_trap_ends_one_exchange"),
    ("refuse takes nothing", group(refuse=lambda self, trap: ValueError()), "refuse_lets_own_traps_pass"),
    ("shelter cancels main", mutant(shelter=shelter_nothing), "shelter_keeps_a_cancellation_off"),
    ("shelter tells nobody", mutant(shelter=shelter_tells_nobody), "shelter_keeps_a_cancellation_off"),
    ("shelter ends it", mutant(shelter=shelter_keeps_the_cancellation), "shelter_keeps_a_cancellation_off"),
    ("shelter has no result", mutant(shelter=shelter_has_no_result), "shelter_returns_the_result"),
    ("shelter groups errors", mutant(shelter=shelter_groups), "shelter_raises_the_exception"),
    ("an early wake is lost", parking(wake=wake_not_kept), "wake_before_wait_is_kept"),
    ("wake wakes nobody", parking(wake=wake_nobody), "wake_lets_the_waiter_go_on"),
    ("wake runs the waiter", parking(wake=wake_within), "wake_lets_the_waiter_go_on"),
    ("wake wakes the next wait", parking(wake=wake_the_task), "wake_twice_is_wake_once"),
    ("wake wants a waiter", parking(wake=wake_strictly), "wake_after_a_cancellation_does_nothing"),
    ("watch sees nothing", watched(never_readable), "watch_sees_what_another_thread_writes"),
    ("watch tells once", watched(once_readable), "watch_sees_what_is_readable_already"),
    ("watch keeps others waiting", watched(busily), "watch_waits_until_readable"),
    ("watch swallows cancellations", watched(uncancelled), "cancel_reaches_a_task_that_watches"),
    ("watch breaks by a cancellation", watched(left_registered), "cancel_reaches_a_task_that_watches"),
    ("watch closes", watched(readable, close=True), "watch_leaves_the_descriptor_open"),
    ("checkpoint does nothing", mutant(checkpoint=nothing), "checkpoint_lets_every_other_task_run"),
    ("checkpoint does nothing: a stream", mutant(checkpoint=nothing), "i9_a_stream_lets_others_run"),
    ("checkpoint is not cancelled", mutant(checkpoint=checkpoint_uncancelled), "cancel_reaches_a_checkpoint"),
    ("sleep is short", mutant(sleep=sleep_short), "sleep_lasts"),
    ("sleep is no sleep", mutant(sleep=nothing), "sleep_lasts"),
    ("sleep blocks", mutant(sleep=sleep_in_the_kernel), "sleep_lasts"),
    ("sleep is not cancelled", mutant(sleep=sleep_uncancelled), "cancel_reaches_a_sleeping_task"),
    ("sleep is busy", mutant(sleep=sleep_busily), "waiting_uses_no_processor"),
    ("watch is busy", watched(at_a_checkpoint), "waiting_uses_no_processor"),
    ("join is interrupted", group(join=join_until_cancelled), "group_of_a_cancelled_task_is_cancelled"),
    (
        "shelter loses an exception",
        mutant(shelter=shelter_prefers_the_cancellation),
        "shelter_keeps_an_exception_though_cancelled",
    ),
    (
        "a canceller cancels at once",
        group(canceller=cancelled_at_once),
        "canceller_that_is_not_called_does_nothing",
    ),
    (
        "wake disturbs a clean-up",
        parking(wait=wait_and_stay, wake=wake_who_was_there),
        "wake_after_a_cancellation_leaves_the_clean_up_alone",
    ),
    ("run keeps a descriptor", mutant(run=run_and_keep_a_descriptor), "a_run_leaves_nothing_behind"),
    ("run keeps a thread", mutant(run=run_and_keep_a_thread), "a_run_leaves_nothing_behind"),
    ("a leader is lost", group(spawn=spawn_every_other), "i1_one_leader"),
    ("in no task", mutant(running=lambda self: False), "i2_the_application_is_in_a_task"),
    ("requests sleep on", parking(wake=wake_nobody), "i5_no_request_waits_for_a_suspended_one"),
    ("a receive is not cancelled", cancel_when(runs), "i8_a_cancelled_receive_loses_nothing"),
    ("a stop ends nobody", cancel_when(runs), "stopping_ends_every_task"),
    ("asyncio: tells once", ForgetsReadiness(), "watch_sees_what_is_readable_already"),
    ("asyncio: does not wait", LeavesTasks(), "group_waits_for_its_tasks"),
    (
        "asyncio: shelters nothing",
        mutant(AsyncioBackend, shelter=_unshielded),
        "shelter_keeps_a_cancellation_off",
    ),
    ("asyncio: swallows", mutant(AsyncioBackend, run=asyncio_swallows), "run_raises_the_exception"),
]


def _checks(backend: Backend, seconds: float) -> dict[str, Callable[[], None]]:
    return dict(checks(backend, leave_cancellation=cancel_oneself, seconds=seconds))


@pytest.mark.parametrize(("backend", "check"), [row[1:] for row in MUTANTS], ids=[row[0] for row in MUTANTS])
def test_a_lacking_guarantee_is_found(backend: Any, check: str) -> None:
    with pytest.raises(CheckFailed) as failure:
        _checks(backend, SECONDS)[check]()
    assert "AttributeError" not in str(failure.value), "the mutant lacks more than its guarantee"


@pytest.mark.parametrize("check", sorted({row[2] for row in MUTANTS}))
def test_the_whole_backend_passes(check: str) -> None:
    _checks(SmallBackend(), 20)[check]()
