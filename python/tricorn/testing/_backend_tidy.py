"""Checks of what a backend must not do: leave something behind, lose something, disturb what is not its business."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from tricorn._backends.base import Backend, Parking
from tricorn.lifespan import settle
from tricorn.testing._backend_calls import Check, Own, _awaiting, _pipe, _turns

CHECKS: dict[str, Check] = {}

IDLE = 0.03


def _check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


async def _ends(backend: Backend, story: list[str], name: str, seconds: float = 60) -> None:
    """Sleep, and note how that ends."""
    try:
        await backend.sleep(seconds)
        story.append(f"{name} ends")
    except BaseException:
        story.append(f"{name} is cancelled")
        raise


@_check
def group_of_a_cancelled_task_is_cancelled(backend: Backend) -> None:
    """A task that is cancelled while it waits for its group has the group's tasks cancelled, and waits for them."""
    story: list[str] = []

    async def owner() -> None:
        try:
            async with backend.tasks() as inner:
                await settle(inner.spawn(lambda: _ends(backend, story, "inner")))
        finally:
            story.append("owner")

    async def main() -> None:
        async with backend.tasks() as outer:
            await settle(outer.spawn(owner))
            await _turns(backend)
            await settle(outer.cancel())

    backend.run(main)
    assert story == ["inner is cancelled", "owner"]


@_check
def shelter_keeps_an_exception_though_cancelled(backend: Backend) -> None:
    """What main() raises is raised even where the calling task was cancelled meanwhile."""
    story: list[str] = []

    async def failing() -> None:
        await backend.sleep(0.05)
        raise Own

    async def cancelled() -> None:
        story.append("told")

    async def caller() -> None:
        try:
            await backend.shelter(failing, cancelled)
        except Own:
            story.append("own")

    async def main() -> None:
        async with backend.tasks() as group:
            await settle(group.spawn(caller))
            await _turns(backend)
            await settle(group.cancel())

    backend.run(main)
    assert story == ["told", "own"]


@_check
def canceller_that_is_not_called_does_nothing(backend: Backend) -> None:
    """A task that has asked for its canceller ends by itself, unless somebody calls it."""
    story: list[str] = []

    async def main() -> None:
        async with backend.tasks() as group:
            made: list[Coroutine[Any, Any, None]] = []

            async def task() -> None:
                group.canceller(made[-1])
                await _ends(backend, story, "task", 0.01)

            def function() -> Coroutine[Any, Any, None]:
                made.append(task())
                return made[-1]

            await settle(group.spawn(function))

    backend.run(main)
    assert story == ["task ends"]


@_check
def wake_after_a_cancellation_leaves_the_clean_up_alone(backend: Backend) -> None:
    """A task that has left its place by a cancellation, and suspends to clean up, is not woken there."""
    story: list[str] = []
    places: list[Parking] = []

    async def task() -> None:
        places.append(backend.park())
        try:
            await places[0].wait()
        finally:
            story.append("cancelled")
            begin = time.monotonic()
            await backend.sleep(0.05)  # a library may raise the cancellation again
            if time.monotonic() - begin < 0.04:
                story.append("disturbed")

    async def main() -> None:
        async with backend.tasks() as group:
            await settle(group.spawn(task))
            await _turns(backend)
            await settle(group.cancel())
            await _turns(backend)
            await settle(places[0].wake())

    backend.run(main)
    assert story == ["cancelled"]


@_check
def waiting_uses_no_processor(backend: Backend) -> None:
    """While all tasks sleep, are parked or wait for the descriptor, the library waits in the kernel."""
    used: list[float] = []

    async def main() -> None:
        with _pipe() as (reading, _):
            async with backend.watch(reading) as wait, backend.tasks() as group:
                waits: list[Callable[[], Awaitable[Any]]] = [wait, lambda: backend.park().wait()]
                for begin in waits:
                    await settle(group.spawn(lambda begin=begin: _looping(begin)))  # type: ignore[misc]
                await _turns(backend)
                before = time.process_time()
                await backend.sleep(0.3)
                used.append(time.process_time() - before)
                await settle(group.cancel())

    backend.run(main)
    assert used[0] < IDLE, f"{used[0]} s of 0.3 s"


async def _looping(begin: Callable[[], Awaitable[Any]]) -> None:
    while True:
        await _awaiting(begin())


@_check
def a_run_leaves_nothing_behind(backend: Backend) -> None:
    """A run leaves no descriptor and no thread; what is made once for a process is there after the first."""

    async def main() -> None:
        with _pipe() as (reading, _):
            async with backend.watch(reading) as wait, backend.tasks() as group:
                await settle(group.spawn(lambda: _awaiting(wait())))
                await _turns(backend)
                await settle(group.cancel())

    def run() -> tuple[int, int]:
        nonlocal backend
        backend = copy.copy(whole)
        backend.run(main)
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    whole = backend
    first = run()
    assert [run() for _ in range(3)] == [first] * 3
