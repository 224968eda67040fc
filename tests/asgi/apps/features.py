"""What the libraries offer to structure a program, each tried by an application as its first thing."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import sniffio

Feature = Callable[[], Awaitable[Any]]


async def asyncio_timeout() -> bool:
    try:
        async with asyncio.timeout(0.005):
            await asyncio.sleep(30)
    except TimeoutError:
        await asyncio.sleep(0.001)
        return True
    return False


async def asyncio_timeout_unused() -> bool:
    async with asyncio.timeout(0.005):
        pass
    await asyncio.sleep(0.02)
    return True


async def asyncio_wait_for() -> bool:
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.005)
    except TimeoutError:
        return True
    return False


async def asyncio_task_group() -> bool:
    done = []

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(work(number))
    return sorted(done) == [0, 1, 2]


async def asyncio_task_group_fails() -> bool:
    async def work() -> None:
        raise KeyError("inner")

    caught = 0
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            await asyncio.sleep(30)
    except* KeyError as failed:
        caught = len(failed.exceptions)
    return caught == 1


async def asyncio_cancel_caught() -> bool:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return task.uncancel() == 0
    return False


async def asyncio_thread() -> bool:
    return await asyncio.to_thread(threading.get_ident) != threading.get_ident()


async def trio_move_on_after() -> bool:
    import trio

    with trio.move_on_after(0.005) as scope:
        await trio.sleep(30)
    await trio.sleep(0.001)
    return scope.cancelled_caught


async def trio_fail_after() -> bool:
    import trio

    try:
        with trio.fail_after(0.005):
            await trio.sleep(30)
    except trio.TooSlowError:
        return True
    return False


async def trio_cancel_scope() -> bool:
    import trio

    with trio.CancelScope() as scope:
        scope.cancel()
        await trio.lowlevel.checkpoint()
    return scope.cancelled_caught and trio.current_effective_deadline() > time.monotonic()


async def trio_nursery() -> bool:
    import trio

    done = []

    async def work(number: int) -> None:
        await trio.sleep(0)
        done.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(work, number)
    return sorted(done) == [0, 1, 2]


async def trio_nursery_fails() -> bool:
    import trio

    async def work() -> None:
        raise KeyError("inner")

    caught = 0
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.sleep(30)
    except* KeyError as failed:
        caught = len(failed.exceptions)
    return caught == 1


async def trio_thread() -> bool:
    import trio

    return await trio.to_thread.run_sync(threading.get_ident) != threading.get_ident()


async def curio_timeout_after() -> bool:
    import curio

    try:
        async with curio.timeout_after(0.005):
            await curio.sleep(30)
    except curio.TaskTimeout:
        await curio.sleep(0.001)
        return True
    return False


async def curio_ignore_after() -> bool:
    import curio

    async with curio.ignore_after(0.005) as scope:
        await curio.sleep(30)
    return bool(scope.expired)


async def curio_task_group() -> bool:
    import curio

    done = []

    async def work(number: int) -> None:
        await curio.sleep(0)
        done.append(number)

    async with curio.TaskGroup() as group:
        for number in range(3):
            await group.spawn(work, number)
    return sorted(done) == [0, 1, 2]


async def curio_disable_cancellation() -> bool:
    import curio

    task = await curio.current_task()
    try:
        async with curio.disable_cancellation():
            await task.cancel(blocking=False)
            await curio.sleep(0.001)
        await curio.sleep(30)
    except curio.TaskCancelled:
        return True
    return False


async def curio_thread() -> bool:
    import curio

    return bool(await curio.run_in_thread(threading.get_ident) != threading.get_ident())


async def anyio_move_on_after() -> bool:
    with anyio.move_on_after(0.005) as scope:
        await anyio.sleep(30)
    await anyio.sleep(0.001)
    return scope.cancelled_caught


async def anyio_fail_after() -> bool:
    try:
        with anyio.fail_after(0.005):
            await anyio.sleep(30)
    except TimeoutError:
        return True
    return False


async def anyio_cancel_scope() -> bool:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anyio.lowlevel.checkpoint()
    return scope.cancelled_caught


async def anyio_task_group() -> bool:
    done = []

    async def work(number: int) -> None:
        await anyio.sleep(0)
        done.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(work, number)
    return sorted(done) == [0, 1, 2]


async def anyio_task_group_cancelled() -> bool:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 30)
        group.cancel_scope.cancel()
    await anyio.sleep(0.001)
    return True


async def anyio_thread() -> bool:
    return await anyio.to_thread.run_sync(threading.get_ident) != threading.get_ident()


async def anyio_sniffio() -> bool:
    names = [sniffio.current_async_library()]
    await anyio.sleep(0)
    names.append(sniffio.current_async_library())
    return names[0] == names[1] and names[0] in {"asyncio", "trio"}


async def curio_sniffio() -> bool:
    import curio

    names = [sniffio.current_async_library()]
    await curio.sleep(0)
    return [*names, sniffio.current_async_library()] == ["curio", "curio"]


FEATURES: dict[str, dict[str, Feature]] = {"asyncio": {}, "trio": {}, "curio": {}, "anyio": {}}
for _name, _function in tuple(globals().items()):
    _library, _, _feature = _name.partition("_")
    if _library in FEATURES and _feature:
        FEATURES[_library][_feature] = _function

if os.environ.get("TRICORN_TEST_SANITIZED"):
    del FEATURES["curio"]["thread"]  # the worker that curio keeps to the end of the process looks like a leak
