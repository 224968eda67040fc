"""Checks of a backend's calls, each alone: what the docstrings of the contract promise."""

from __future__ import annotations

import contextvars
import copy
import os
import select
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tricorn._backends.base import Backend, TaskGroup
from tricorn.lifespan import settle

Check = Callable[[Backend], None]
StrayCheck = Callable[[Backend, Callable[[], Awaitable[object]]], None]

CHECKS: dict[str, Check] = {}
STRAY_CHECKS: dict[str, StrayCheck] = {}

_variable: contextvars.ContextVar[str] = contextvars.ContextVar("_variable", default="unset")


class Own(Exception):
    """An exception of a check's own."""


def _check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


def _contains(error: BaseException, wanted: BaseException) -> bool:
    """Tell whether an exception is the wanted one, or a group that holds it."""
    if isinstance(error, BaseExceptionGroup):
        return any(_contains(inner, wanted) for inner in error.exceptions)
    return error is wanted


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


async def _turns(backend: Backend, count: int = 10) -> None:
    """Let the other tasks run until they wait."""
    for _ in range(count):
        await backend.checkpoint()


async def _until_readable(fd: int, wait: Callable[[], Awaitable[Any]]) -> None:
    """Wait as the leader does, which looks at the descriptor again after each return."""
    while True:
        await wait()
        if select.select([fd], [], [], 0)[0]:
            return


# --- run, running, copies ---


@_check
def name_is_a_text(backend: Backend) -> None:
    """The name is what the library is called on the command line."""
    assert isinstance(backend.name, str) and backend.name


@_check
def run_returns_the_result(backend: Backend) -> None:
    """run() gives what main() returned."""
    result = object()

    async def main() -> object:
        return result

    assert backend.run(main) is result


@_check
def run_raises_the_exception(backend: Backend) -> None:
    """run() raises what main() raised, as it is."""
    error = Own()

    async def main() -> None:
        raise error

    try:
        backend.run(main)
    except Own as raised:
        assert raised is error
    else:
        raise AssertionError("run() swallowed the exception")


@_check
def running_is_true_in_tasks_alone(backend: Backend) -> None:
    """running() is true in every task, and false outside and in other threads."""
    seen: list[bool] = []

    async def task() -> None:
        seen.append(backend.running())

    async def main() -> None:
        await task()
        async with backend.tasks() as group:
            await settle(group.spawn(task))
        other: list[bool] = []
        thread = threading.Thread(target=lambda: other.append(backend.running()))
        thread.start()
        thread.join()
        assert other == [False], "running() is true in another thread"

    assert not backend.running(), "running() is true before run()"
    backend.run(main)
    assert seen == [True, True], "running() is false in a task"
    assert not backend.running(), "running() is true after run()"


@_check
def copies_run_side_by_side(backend: Backend) -> None:
    """Shallow copies serve in several threads at once, and one after another."""
    ended: list[int] = []
    meeting = threading.Barrier(2, timeout=10)
    failures: list[str] = []

    def thread(number: int) -> None:
        mine = copy.copy(backend)
        own = threading.get_ident()

        async def sleeper() -> None:
            await mine.sleep(0.01)
            if threading.get_ident() != own:
                failures.append("a task runs in the thread of another copy")
            ended.append(number)

        async def main() -> None:
            meeting.wait()  # until both run
            async with mine.tasks() as group:
                await settle(group.spawn(sleeper))

        mine.run(main)

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failures, failures
    assert sorted(ended) == [0, 1]


# --- groups ---


@_check
def spawn_runs_every_function(backend: Backend) -> None:
    """Each spawned function runs once."""
    ran: list[int] = []

    async def main() -> None:
        async with backend.tasks() as group:
            for number in range(300):

                async def task(number: int = number) -> None:
                    await backend.checkpoint()
                    ran.append(number)

                await settle(group.spawn(task))

    backend.run(main)
    assert sorted(ran) == list(range(300))


@_check
def spawn_does_not_begin_at_once(backend: Backend) -> None:
    """The function does not begin within the call of spawn()."""
    begun: list[bool] = []

    async def task() -> None:
        begun.append(True)

    async def main() -> None:
        async with backend.tasks() as group:
            spawning = group.spawn(task)
            assert not begun, "the function began within spawn()"
            await settle(spawning)

    backend.run(main)
    assert begun == [True]


@_check
def spawn_from_a_task_of_the_group(backend: Backend) -> None:
    """A task may spawn the next, while the group is being left, too; it is waited for."""
    ran: list[int] = []

    async def main() -> None:
        async with backend.tasks() as group:

            async def task() -> None:
                ran.append(len(ran))
                await backend.checkpoint()
                if len(ran) < 20:
                    await settle(group.spawn(task))

            await settle(group.spawn(task))
        assert len(ran) == 20, "the group was left too early"

    backend.run(main)


@_check
def spawn_keeps_context_variables(backend: Backend) -> None:
    """A task sees the context variables of where it was spawned."""
    seen: list[str] = []

    async def task() -> None:
        seen.append(_variable.get())

    async def main() -> None:
        _variable.set("set")
        async with backend.tasks() as group:
            await settle(group.spawn(task))

    backend.run(main)
    assert seen == ["set"]


@_check
def group_waits_for_its_tasks(backend: Backend) -> None:
    """Leaving the context waits until every task has ended."""
    ended: list[bool] = []

    async def task() -> None:
        await backend.sleep(0.05)
        await backend.checkpoint()
        ended.append(True)

    async def main() -> None:
        async with backend.tasks() as group:
            for _ in range(3):
                await settle(group.spawn(task))
        assert len(ended) == 3, "the group was left while tasks ran"

    backend.run(main)


@_check
def group_left_by_an_exception_cancels(backend: Backend) -> None:
    """An exception that leaves the context cancels the tasks, waits for them, and goes on."""
    error = Own()
    cleaned: list[bool] = []

    async def task() -> None:
        try:
            await backend.sleep(60)
        finally:
            cleaned.append(True)

    async def main() -> None:
        async with backend.tasks() as group:
            await settle(group.spawn(task))
            await _turns(backend)
            raise error

    try:
        backend.run(main)
    except BaseException as raised:
        assert _contains(raised, error), f"{raised!r} came in its place"
    else:
        raise AssertionError("the exception was lost")
    assert cleaned == [True]


async def _cancelled_while(
    backend: Backend, suspend: Callable[[], Awaitable[Any]], *, first: int = 10
) -> tuple[list[BaseException], list[bool]]:
    """Cancel a group whose task suspends; what was raised there, and what ending() said."""
    raised: list[BaseException] = []
    ending: list[bool] = []
    async with backend.tasks() as group:

        async def task() -> None:
            ending.append(group.ending())
            try:
                await suspend()
            except BaseException as error:
                raised.append(error)
                ending.append(group.ending())
                raise

        await settle(group.spawn(task))
        await _turns(backend, first)
        await settle(group.cancel())
    return raised, ending


def _assert_cancelled(raised: list[BaseException]) -> None:
    assert len(raised) == 1, f"raised {raised!r}, not one cancellation"
    assert not isinstance(raised[0], (Exception, GeneratorExit)), f"{raised[0]!r} is no cancellation"


@_check
def cancel_reaches_a_parked_task(backend: Backend) -> None:
    """A task that waits at a parking is cancelled there."""

    async def main() -> None:
        raised, _ = await _cancelled_while(backend, lambda: backend.park().wait())
        _assert_cancelled(raised)

    backend.run(main)


@_check
def cancel_reaches_a_sleeping_task(backend: Backend) -> None:
    """A task that sleeps is cancelled there, at once."""

    async def main() -> None:
        begun = time.monotonic()
        raised, _ = await _cancelled_while(backend, lambda: backend.sleep(4))
        _assert_cancelled(raised)
        assert time.monotonic() - begun < 3, "the sleep went on"

    backend.run(main)


@_check
def cancel_reaches_a_checkpoint(backend: Backend) -> None:
    """A task that only ever takes checkpoints is cancelled at one."""

    async def spin() -> None:
        while True:
            await backend.checkpoint()

    async def main() -> None:
        raised, _ = await _cancelled_while(backend, spin)
        _assert_cancelled(raised)

    backend.run(main)


@_check
def cancel_reaches_a_task_that_watches(backend: Backend) -> None:
    """A task that waits for the descriptor is cancelled there; another may wait for it afterwards."""

    async def main() -> None:
        with _pipe() as (reading, writing):
            async with backend.watch(reading) as wait:

                async def watching() -> None:
                    while True:
                        await wait()

                raised, _ = await _cancelled_while(backend, watching)
                _assert_cancelled(raised)
                os.write(writing, b"x")
                await _until_readable(reading, wait)

    backend.run(main)


@_check
def cancel_reaches_a_task_not_begun(backend: Backend) -> None:
    """A task that has been spawned and not begun is cancelled, too: at its first suspension at the latest."""
    over: list[bool] = []

    async def main() -> None:
        async with backend.tasks() as group:

            async def task() -> None:
                await backend.sleep(60)
                over.append(True)

            await settle(group.spawn(task))
            await settle(group.cancel())

    backend.run(main)
    assert not over


@_check
def cancel_is_of_one_group(backend: Backend) -> None:
    """Cancelling a group leaves the tasks of another, and the caller, alone."""
    ended: list[str] = []

    async def main() -> None:
        async with backend.tasks() as outer:

            async def other() -> None:
                await backend.sleep(0.05)
                ended.append("other")

            await settle(outer.spawn(other))
            await _cancelled_while(backend, lambda: backend.sleep(60))
            await backend.sleep(0.01)
            ended.append("caller")

    backend.run(main)
    assert sorted(ended) == ["caller", "other"]


@_check
def ending_tells_a_cancelled_group(backend: Backend) -> None:
    """ending() is false in a task until the group is cancelled, and true in the cancelled task."""

    async def main() -> None:
        _, ending = await _cancelled_while(backend, lambda: backend.sleep(60))
        assert ending[0] is False or not ending[0], "ending() is true in a group at work"
        assert len(ending) == 2 and ending[1], "ending() is false in a cancelled task"

    backend.run(main)


@_check
def stray_is_false_without_a_cancellation(backend: Backend) -> None:
    """What stray() gives, is false in a task that nobody cancelled."""
    seen: list[object] = []

    async def main() -> None:
        async with backend.tasks() as group:

            async def task() -> None:
                probe = group.stray()
                for _ in range(3):
                    seen.append(probe is not None and bool(probe()))
                    await backend.checkpoint()

            await settle(group.spawn(task))

    backend.run(main)
    assert seen == [False, False, False]


@_check
def canceller_cancels_one_task(backend: Backend) -> None:
    """What canceller() gives cancels the task that called it, and no other; the group is not ending."""
    story: list[str] = []

    async def main() -> None:
        cancel: list[Callable[[], Awaitable[Any] | None]] = []
        made: list[Coroutine[Any, Any, None]] = []
        async with backend.tasks() as group:

            async def one() -> None:
                cancel.append(group.canceller(made[0]))
                try:
                    await backend.sleep(2)
                except BaseException:
                    story.append("ending" if group.ending() else "cancelled")

            def make() -> Coroutine[Any, Any, None]:
                made.append(one())
                return made[0]

            async def other() -> None:
                await backend.sleep(0.05)
                story.append("other")

            await settle(group.spawn(make))
            await settle(group.spawn(other))
            await _turns(backend)
            await settle(cancel[0]())

    backend.run(main)
    assert story == ["cancelled", "other"], story


async def _awaiting(awaitable: Awaitable[Any]) -> None:
    await awaitable


@_check
def refuse_lets_own_traps_pass(backend: Backend) -> None:
    """refuse() gives None for what the backend's own awaitables yield."""
    seen: list[object] = []

    async def main() -> None:
        async with backend.tasks() as group:
            refuse = group.refuse
            if refuse is not None:
                for awaitable in (backend.checkpoint(), backend.sleep(0.001), backend.park().wait()):
                    steps = _awaiting(awaitable)
                    seen.append(refuse(steps.send(None)))
                    steps.close()
                refused = refuse(object())
                assert isinstance(refused, BaseException), "refuse() lets what is no trap pass"

    backend.run(main)
    assert all(one is None for one in seen), f"refuse() refuses {seen!r}"


# --- shelter ---


async def _never() -> None:
    raise AssertionError("nobody cancelled, and it was told so")


@_check
def shelter_returns_the_result(backend: Backend) -> None:
    """shelter() gives what main() returned, without a word to the other function."""
    result = object()

    async def sheltered() -> object:
        await backend.sleep(0.01)
        return result

    async def main() -> object:
        return await backend.shelter(sheltered, _never)

    assert backend.run(main) is result


@_check
def shelter_raises_the_exception(backend: Backend) -> None:
    """shelter() raises what main() raised, as it is and not in a group."""
    error = Own()

    async def sheltered() -> None:
        await backend.checkpoint()
        raise error

    async def main() -> None:
        try:
            await backend.shelter(sheltered, _never)
        except Own as raised:
            assert raised is error
        else:
            raise AssertionError("shelter() swallowed the exception")

    backend.run(main)


@_check
def shelter_keeps_a_cancellation_off(backend: Backend) -> None:
    """A cancelled caller has main() told, which ends by itself; then the cancellation is raised."""
    story: list[str] = []

    async def main() -> None:
        stop = backend.park()

        async def sheltered() -> None:
            try:
                await stop.wait()
                await backend.sleep(0.01)
                story.append("ended")
            except BaseException:
                story.append("main was cancelled")
                raise

        async def cancelled() -> None:
            story.append("told")
            await settle(stop.wake())

        raised, _ = await _cancelled_while(backend, lambda: backend.shelter(sheltered, cancelled))
        _assert_cancelled(raised)

    backend.run(main)
    assert story[0] == "told" and story[-1] == "ended" and "main was cancelled" not in story, story


# --- with a cancellation that an application leaves behind ---


def stray_tells_a_cancellation(backend: Backend, leave: Callable[[], Awaitable[object]]) -> None:
    """What stray() gave tells of a cancellation that waits for the task, while ending() is false."""
    seen: list[bool] = []

    async def main() -> None:
        async with backend.tasks() as group:
            await settle(group.spawn(lambda: _leave(group, leave, seen)))

    backend.run(main)
    assert seen == [True], "a cancellation that waits was not told, or taken for the end of the group"


async def _leave(group: TaskGroup, leave: Callable[[], Awaitable[object]], seen: list[bool]) -> None:
    probe = group.stray()
    await leave()
    seen.append((probe is None or bool(probe())) and not group.ending())


STRAY_CHECKS["stray_tells_a_cancellation"] = stray_tells_a_cancellation
