"""What stands behind the fixture ``tricorn_server``: servers that last as long as a test."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Final

import pytest

from tricorn import _backends
from tricorn._backends.base import Backend, TaskGroup
from tricorn.config import Config
from tricorn.embedding import RunningServer, ServiceTask, make, running
from tricorn.errors import UsageError
from tricorn.importer import Application
from tricorn.server import Service

OUTCOMES: Final = (Exception, pytest.fail.Exception, pytest.skip.Exception, pytest.xfail.Exception)
"""How a test ends that does not pass; anything else is a cancellation, or ends the whole run."""


class ServerOfTest(RunningServer):
    """A server that a test has started; awaiting it, as an ``async`` test does, starts it where it has not been."""

    def __init__(self, start: Callable[[], Awaitable[Service]] | None) -> None:
        self._start = start

    def __await__(self) -> Generator[Any, Any, RunningServer]:
        return self._started().__await__()

    def __getattr__(self, name: str) -> Any:
        if name in {"urls", "service"}:
            raise UsageError(
                "the server has not been started", "write 'await tricorn_server(...)' in an async test"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def serve(self, service: Service) -> None:
        """Become the server that runs."""
        super().__init__(service)

    async def _started(self) -> RunningServer:
        start, self._start = self._start, None
        if start is not None:
            self.serve(await start())
        return self


class Servers(AbstractContextManager["Servers"]):
    """Serves applications: the value of the fixture."""

    def __init__(self) -> None:
        self._threads = ExitStack()
        self._tasks: list[ServiceTask] = []
        self._group: TaskGroup | None = None
        self._home = threading.get_ident()

    def __call__(self, app: str | Application, **options: Any) -> ServerOfTest:
        """Serve an application until the test ends.

        Args:
            app: An ASGI application, or where to import it from: ``"module:attribute"``.
            options: Those of :func:`tricorn.run`; without an address, it listens on a free port of 127.0.0.1.

        Returns:
            The server, which an ``async`` test awaits before it uses it.

        Raises:
            tricorn.errors.UsageError: An option is wrong.
            tricorn.errors.StartupError: The application or the address is not to be had.
        """
        if not {"uds", "fd", "port"} & options.keys():
            options["port"] = 0
        runs = _backends.current()
        if self._group is None or runs is None or self._home != threading.get_ident():
            return self._in_thread(app, options, runs)
        return ServerOfTest(partial(self._in_task, Config(app, **options), self._group, runs))

    @asynccontextmanager
    async def in_this_task(self) -> AsyncIterator[None]:
        """Serve in tasks beside the calling one while the context lasts."""
        backend = _backends.current()
        if backend is None:  # a library that Tricorn does not know
            yield
            return
        failure: BaseException | None = None
        async with backend.tasks() as self._group:
            try:
                yield
            except OUTCOMES as error:  # kept, as libraries differ in how a group of tasks raises it
                failure = error
            finally:
                self._group = None
                for task in self._tasks:
                    task.service.stop()
        if failure is not None:
            raise failure
        for task in self._tasks:
            task.check()

    async def _in_task(self, config: Config, group: TaskGroup, backend: Backend) -> Service:
        """Serve in a task of the test's own."""
        task = ServiceTask(make(config, backend), backend)
        self._tasks.append(task)
        if not await task.start(group):
            self._tasks.remove(task)
            task.check()
        return task.service

    def _in_thread(
        self, app: str | Application, options: dict[str, Any], runs: Backend | None
    ) -> ServerOfTest:
        """Serve in a thread, on the library that runs, if one does."""
        if runs is not None and not {"async_library", "loop"} & options.keys():
            options["async_library"] = runs.name
        server = ServerOfTest(None)
        server.serve(self._threads.enter_context(running(app, **options)).service)
        return server

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.close()
