"""Serving from inside a program: in a task of its own library, or in a thread."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from types import TracebackType
from typing import Any, Protocol

from tricorn import _backends, libraries, logs
from tricorn._backends.base import Backend, TaskGroup
from tricorn.config import Config
from tricorn.errors import StartupError, UsageError
from tricorn.importer import Application
from tricorn.lifespan import Flag, settle
from tricorn.listening import Listener
from tricorn.server import Service


class TaskStatus(Protocol):
    """What trio's and anyio's ``start()`` give to the function that they start."""

    def started(self, value: RunningServer, /) -> None:
        """Let ``start()`` return."""
        ...


class RunningServer:
    """A server that runs inside this program.

    Attributes:
        urls: Where it listens, such as ``["http://127.0.0.1:8000"]``.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.urls = list(service.urls)

    @property
    def url(self) -> str:
        """The first of the URLs."""
        return self.urls[0]

    @property
    def port(self) -> int:
        """The port of the first URL; with ``port=0`` the one that the system chose.

        Raises:
            ValueError: It does not listen on a port.
        """
        scheme, _, rest = self.url.partition("://")
        if scheme not in {"http", "https"}:
            raise ValueError(f"{self.url} has no port")
        return int(rest.rpartition(":")[2])

    def counters(self) -> dict[str, int]:
        """Return what the core counts: connections that are open and were accepted, exchanges, refusals."""
        return self.service.core.counters()

    def stop(self) -> None:
        """Ask the server to stop; it ends when what is at work has ended, or the grace period. From any thread."""
        self.service.stop()


class _Sheltered(RunningServer):
    """A server in a task beside the one that has it."""

    def __init__(self, service: Service, ended: Flag) -> None:
        super().__init__(service)
        self.ended = ended


async def serve(
    app: str | Application,
    *,
    task_status: TaskStatus | None = None,
    shutdown_trigger: Callable[[], Awaitable[object]] | None = None,
    **options: Any,
) -> None:
    """Serve an application in the calling task, on the library that it runs in, until cancelled or stopped.

    A cancellation stops the server: what is at work may end within ``timeout_graceful_shutdown`` (5 seconds
    unless given), then it is cancelled. Nothing is left behind: no task, no descriptor. Signals are not taken.

    Args:
        app: An ASGI application, or where to import it from: ``"module:attribute"``.
        task_status: Given by ``nursery.start()`` of trio and ``task_group.start()`` of anyio, which then return
            a :class:`RunningServer` once it serves.
        shutdown_trigger: A function whose awaitable ends when the server is to stop, such as the ``wait`` of an
            event. An exception of its own stops the server, too, and is raised.
        options: The options of the command with underscores for dashes.

    Raises:
        tricorn.errors.UsageError: An option is wrong, or no async library runs here.
        tricorn.errors.StartupError: The application or the address is not to be had.
    """
    async with _in_task(Config(app, **options)) as server:
        if task_status is not None:
            task_status.started(server)
        if shutdown_trigger is None:
            await server.ended.wait()
        else:
            await _serve_until(shutdown_trigger, server)


async def _serve_until(trigger: Callable[[], Awaitable[object]], server: _Sheltered) -> None:
    """Wait for the server's end, and stop it when the trigger says so."""
    failures: list[Exception] = []

    async def wait() -> None:
        try:
            await trigger()
        except Exception as error:
            failures.append(error)
        server.stop()

    async with library().tasks() as group:
        await settle(group.spawn(wait))
        await server.ended.wait()
        await settle(group.cancel())
    if failures:
        raise failures[0]


class running(AbstractContextManager[RunningServer], AbstractAsyncContextManager[RunningServer]):
    """Serve an application while a context lasts; it gives the :class:`RunningServer`.

    ``async with`` serves on the library that the task runs in. ``with`` serves in a thread of its own, on the
    option ``async_library``, so that a program without an async library, such as a test, can talk to it.
    Leaving the context stops the server and waits for it. Arguments and errors are those of :func:`serve`.
    """

    def __init__(self, app: str | Application, **options: Any) -> None:
        self._config = Config(app, **options)
        self._thread: AbstractContextManager[RunningServer] | None = None
        self._task: AbstractAsyncContextManager[_Sheltered] | None = None

    def __enter__(self) -> RunningServer:
        self._thread = _in_thread(self._config)
        return self._thread.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._thread is not None
        return self._thread.__exit__(kind, error, trace)

    async def __aenter__(self) -> RunningServer:
        self._task = _in_task(self._config)
        return await self._task.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._task is not None
        return await self._task.__aexit__(kind, error, trace)


class ServiceTask:
    """A service in a task of a group of its library's.

    Attributes:
        ended: Happens when the task is over.
        failure: What the service raised. It is kept, as libraries differ in how a group of tasks raises it.
    """

    def __init__(self, service: Service, backend: Backend) -> None:
        self.service = service
        self.ended = Flag(backend)
        self.failure: Exception | None = None
        self._backend = backend
        self._settled = Flag(backend)
        self._code: int | None = None

    async def start(self, group: TaskGroup) -> bool:
        """Start it, and wait until it serves or has failed; tells whether it serves."""
        self.service.on_started = self._settled.happen
        await settle(group.spawn(self._run))
        await self._settled.wait()
        return self._code is None and self.failure is None

    def check(self) -> None:
        """Raise what the service has raised, or that its application did not start."""
        if self.failure is not None:
            raise self.failure
        _check(self._code)

    async def _run(self) -> None:
        try:
            self._code = await self._backend.shelter(self.service.main, self.service.give_up)
        except Exception as error:
            self.failure = error
        finally:
            await self._settled.happen()
            await self.ended.happen()


@asynccontextmanager
async def _in_task(config: Config) -> AsyncIterator[_Sheltered]:
    """Serve in a task beside the calling one."""
    _refuse_processes(config)
    backend = library()
    task = ServiceTask(make(config, backend), backend)
    failure: Exception | None = None
    async with backend.tasks() as group:
        if await task.start(group):
            try:
                yield _Sheltered(task.service, task.ended)
            except Exception as error:
                failure = error
            task.service.stop()  # not where the caller was cancelled: then the group cancels the server's task
    if failure is not None:
        raise failure
    task.check()


@contextmanager
def _in_thread(config: Config) -> Iterator[RunningServer]:
    """Serve in a thread."""
    _refuse_processes(config)
    backend = of_its_own(config)
    server = make(config, backend)
    settled = threading.Event()
    codes: list[int] = []
    failures: list[BaseException] = []

    async def started() -> None:
        settled.set()

    def run() -> None:
        try:
            codes.append(backend.run(server.main))
        except BaseException as error:
            failures.append(error)
        finally:
            settled.set()

    server.on_started = started
    thread = threading.Thread(target=run, name="tricorn", daemon=True)
    thread.start()
    settled.wait()
    try:
        if not codes and not failures:
            yield RunningServer(server)
    finally:
        server.stop()
        thread.join()
    if failures:
        raise failures[0]
    _check(*codes)


def library() -> Backend:
    """Return the backend of the library that the caller runs in."""
    backend = _backends.current()
    if backend is None:
        raise UsageError("no async library runs here", "call tricorn.run(), or 'with tricorn.running(...)'")
    return backend


def of_its_own(config: Config) -> Backend:
    """Return the backend to start for a server: what was asked for, else what the application needs."""
    if config.loop_factory:
        config.load_app()  # the factory may be the application's own
    if config.library != "auto":
        return _backends.load(config.library, config.loop_factory)
    name = config.app if isinstance(config.app, str) else None
    return _backends.load(libraries.declared(config.load_app(), name) or "auto")


def make(config: Config, backend: Backend, listeners: Sequence[Listener] | None = None) -> Service:
    """Return a server that is bound to its addresses, or to these listeners."""
    if config.library not in ("auto", backend.name):
        raise UsageError(
            f"the library {config.library!r} was asked for, and {backend.name} runs here",
            "leave out async_library: a server inside a program uses the library that runs",
        )
    app = config.load_app()
    logs.enable()
    return Service(config, app, backend, listeners=listeners)


def _check(code: int | None) -> None:
    """Raise if the application did not start."""
    if code == NOT_STARTED:
        raise StartupError("the application did not start", "the log says why")


def _refuse_processes(config: Config) -> None:
    """Refuse options that only the command and tricorn.run() have a meaning for."""
    if config.wants_processes:
        raise UsageError(
            f"the options ask for worker processes or reloading, and {ONE_PROCESS}",
            "leave them out, or call tricorn.run()",
        )


ONE_PROCESS = "a server inside a program serves in the process that calls it"
NOT_STARTED = 3
