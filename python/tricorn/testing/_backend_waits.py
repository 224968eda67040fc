"""Checks of what a backend waits for, each alone: parking, watching a descriptor, checkpoints, sleep."""

from __future__ import annotations

import os
import threading
import time

from tricorn._backends.base import Backend, Parking
from tricorn.lifespan import settle
from tricorn.testing._backend_calls import Check, _pipe, _turns, _until_readable

CHECKS: dict[str, Check] = {}


def _check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


# --- park ---


@_check
def wake_lets_the_waiter_go_on(backend: Backend) -> None:
    """wake() lets the waiter go on, and no other; not within the call."""
    story: list[int] = []

    async def main() -> None:
        places = [backend.park() for _ in range(3)]
        async with backend.tasks() as group:
            for number, place in enumerate(places):

                async def task(number: int = number, place: Parking = place) -> None:
                    await place.wait()
                    story.append(number)

                await settle(group.spawn(task))
            await _turns(backend)
            for number in (1, 0, 2):
                before = list(story)
                waking = places[number].wake()
                assert story == before, "the waiter ran within wake()"
                await settle(waking)
                await _turns(backend)
                assert story == [*before, number], "another waiter ran, or none"

    backend.run(main)


@_check
def wake_before_wait_is_kept(backend: Backend) -> None:
    """A wake() before wait() has wait() return."""

    async def main() -> None:
        place = backend.park()
        await settle(place.wake())
        await place.wait()
        place = backend.park()
        await settle(place.wake())
        await settle(place.wake())
        await place.wait()

    backend.run(main)


@_check
def wake_twice_is_wake_once(backend: Backend) -> None:
    """A second wake() does nothing, neither at once nor when the waiter waits elsewhere by then."""
    story: list[str] = []

    async def main() -> None:
        first, second = backend.park(), backend.park()

        async def task() -> None:
            await first.wait()
            story.append("first")
            await second.wait()
            story.append("second")

        async with backend.tasks() as group:
            await settle(group.spawn(task))
            await _turns(backend)
            await settle(first.wake())
            await settle(first.wake())
            await _turns(backend)
            await settle(first.wake())
            await _turns(backend)
            assert story == ["first"], "the second wake() woke another wait()"
            await settle(second.wake())

    backend.run(main)
    assert story == ["first", "second"]


@_check
def wake_after_a_cancellation_does_nothing(backend: Backend) -> None:
    """A wake() after the waiter was cancelled, or together with that, does no harm."""

    async def main() -> None:
        for wake_first in (True, False):
            place = backend.park()
            ended: list[bool] = []
            async with backend.tasks() as group:

                async def task(place: Parking = place, ended: list[bool] = ended) -> None:
                    try:
                        await place.wait()
                        await backend.sleep(60)
                    finally:
                        ended.append(True)

                await settle(group.spawn(task))
                await _turns(backend)
                if wake_first:
                    await settle(place.wake())
                await settle(group.cancel())
                await settle(place.wake())
            assert ended == [True]
            await settle(place.wake())
        await _turns(backend)

    backend.run(main)


# --- watch ---


@_check
def watch_sees_what_is_readable_already(backend: Backend) -> None:
    """A descriptor that was readable before the wait, or before the context, is seen; as often as one waits."""

    async def main() -> None:
        with _pipe() as (reading, writing):
            os.write(writing, b"x")
            async with backend.watch(reading) as wait:
                for _ in range(3):
                    await _until_readable(reading, wait)
                    await backend.checkpoint()

    backend.run(main)


@_check
def watch_waits_until_readable(backend: Backend) -> None:
    """Each time that the descriptor becomes readable, the waiter goes on; other tasks run meanwhile."""

    async def main() -> None:
        with _pipe() as (reading, writing):
            rounds: list[int] = []

            async def write() -> None:
                for number in range(10):
                    while len(rounds) < number:
                        await backend.sleep(0.001)
                    await backend.sleep(0.003)
                    os.write(writing, b"x")

            async with backend.tasks() as group, backend.watch(reading) as wait:
                await settle(group.spawn(write))
                for number in range(10):
                    await _until_readable(reading, wait)
                    os.read(reading, 1)
                    rounds.append(number)

    backend.run(main)


@_check
def watch_sees_what_another_thread_writes(backend: Backend) -> None:
    """A library with nothing else to do sleeps in the kernel until the descriptor is readable."""

    async def main() -> None:
        with _pipe() as (reading, writing):
            timer = threading.Timer(0.05, os.write, (writing, b"x"))
            async with backend.watch(reading) as wait:
                timer.start()
                await _until_readable(reading, wait)
            timer.join()

    backend.run(main)


@_check
def watch_leaves_the_descriptor_open(backend: Backend) -> None:
    """Leaving the context forgets the descriptor and does not close it; it may be watched again."""

    async def main() -> None:
        with _pipe() as (reading, writing):
            os.write(writing, b"x")
            for _ in range(2):
                async with backend.watch(reading) as wait:
                    await _until_readable(reading, wait)
                os.fstat(reading)

    backend.run(main)


# --- checkpoint, sleep ---


@_check
def checkpoint_lets_every_other_task_run(backend: Backend) -> None:
    """Between two checkpoints every other task that can run does so."""

    async def main() -> None:
        counts = [0, 0, 0]

        async def task(number: int) -> None:
            for _ in range(1000):
                counts[number] += 1
                await backend.checkpoint()

        async with backend.tasks() as group:
            for number in range(3):
                await settle(group.spawn(lambda number=number: task(number)))  # type: ignore[misc]
            for _ in range(5):
                await backend.checkpoint()
            before = list(counts)
            for _ in range(50):
                await backend.checkpoint()
            grown = [now - then for now, then in zip(counts, before, strict=True)]
            assert min(grown) >= 45, f"50 checkpoints let other tasks run {grown} times"
            await settle(group.cancel())

    backend.run(main)


@_check
def sleep_lasts(backend: Backend) -> None:
    """sleep() lasts as long as was asked for, in any order, and other tasks run meanwhile."""
    order: list[float] = []
    lasted: dict[float, float] = {}

    async def sleeper(seconds: float) -> None:
        begun = time.monotonic()
        await backend.sleep(seconds)
        lasted[seconds] = time.monotonic() - begun
        order.append(seconds)

    async def main() -> None:
        begun = time.monotonic()
        async with backend.tasks() as group:
            for seconds in (0.3, 0.0, 0.1, 0.2):
                await settle(group.spawn(lambda seconds=seconds: sleeper(seconds)))  # type: ignore[misc]
            ticks = 0
            while len(order) < 4 and time.monotonic() - begun < 5:
                await backend.checkpoint()
                ticks += 1
        assert ticks > 10, "a sleep kept other tasks from running"

    backend.run(main)
    assert order == [0.0, 0.1, 0.2, 0.3], f"the sleeps ended as {order}"
    assert all(took > asked * 0.9 - 0.002 for asked, took in lasted.items()), f"the sleeps lasted {lasted}"
