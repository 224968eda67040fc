"""The conformance kit on every backend: those that are built in, and the small loop of the tests."""

from __future__ import annotations

import asyncio
from importlib.metadata import distribution
from typing import ClassVar

import curio
import trio
from small_loop import SmallBackend, cancel_oneself

from tricorn.backends import GROUP, load
from tricorn.testing.backend_suite import BackendSuite


async def _cancel_in_asyncio() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def _cancel_in_trio() -> None:
    scope = trio.CancelScope()
    scope.__enter__()
    scope.cancel()


async def _cancel_in_curio() -> None:
    task = await curio.current_task()
    await task.cancel(blocking=False)


class TestSmallLoop(BackendSuite):
    backend = SmallBackend()
    leave_cancellation = staticmethod(cancel_oneself)


class TestAsyncio(BackendSuite):
    backend = load("asyncio")
    leave_cancellation = staticmethod(_cancel_in_asyncio)


class TestUvloop(BackendSuite):
    backend = load("uvloop")
    leave_cancellation = staticmethod(_cancel_in_asyncio)


class TestTrio(BackendSuite):
    backend = load("trio")
    leave_cancellation = staticmethod(_cancel_in_trio)


class TestCurio(BackendSuite):
    backend = load("curio")
    leave_cancellation = staticmethod(_cancel_in_curio)


class TestNone(BackendSuite):
    backend = load("none")
    without: ClassVar = {
        "running_is_true_in_tasks_alone": "there is no library that a program could run in",
        "shelter_keeps_a_cancellation_off": "nobody but the server can cancel a task, and it cancels no server",
        "shelter_keeps_an_exception_though_cancelled": "nobody but the server can cancel a task",
        "stray_tells_a_cancellation": "an application has nothing to cancel a task with",
        "i7_a_stray_cancellation_ends_no_server": "an application has nothing to cancel a task with",
    }


def test_the_installed_package_registers_every_backend() -> None:
    points = {point.name for point in distribution("tricorn").entry_points if point.group == GROUP}
    assert points == {"asyncio", "uvloop", "trio", "curio", "none"}
    for name in points:
        assert load(name).name == name
