"""``tricorn.Server``: a server that is made of a configuration and steered by its attributes, as uvicorn's is."""

from __future__ import annotations

import copy
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from tricorn._backends.base import Backend, TaskGroup
from tricorn.config import Config
from tricorn.embedding import ONE_PROCESS, ServiceTask, library, make, of_its_own
from tricorn.errors import StartupError
from tricorn.lifespan import Flag
from tricorn.listening import Listener, inherited
from tricorn.server import Service, refuse_inside

_logger = logging.getLogger("tricorn.error")

HANDLED_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
TICK: Final = 0.1
"""Seconds between two calls of an ``on_tick`` that a program overrides."""

_LOOPS: Final = {"asyncio", "uvloop"}


class BoundSocket:
    """A socket that the core listens on, as far as a program may see it."""

    def __init__(self, name: Any, family: socket.AddressFamily) -> None:
        self._name = name
        self.family = family
        self.type = socket.SOCK_STREAM

    def getsockname(self) -> Any:
        """Return the address that it is bound to, in the form of :meth:`socket.socket.getsockname`."""
        return self._name


class Listening:
    """What listens: an element of ``Server.servers``."""

    def __init__(self, sockets: Sequence[BoundSocket]) -> None:
        self.sockets = tuple(sockets)


class ServerState:
    """The counters of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def total_requests(self) -> int:
        """How many requests have come so far."""
        return self._server.counters().get("exchanges", 0)


class Server:
    """Serve the application of a configuration; the interface is that of ``uvicorn.Server``.

    ``run()`` and ``serve()`` take SIGINT and SIGTERM when they are called in the main thread, and raise them again
    at the end. Subclasses may override ``startup``, ``main_loop``, ``on_tick``, ``shutdown``, ``handle_exit``,
    ``install_signal_handlers`` and ``capture_signals``. ``docs/uvicorn.md`` lists what differs from uvicorn.

    Attributes:
        config: The options.
        started: Whether it serves, or has served.
        servers: What listens; ``servers[0].sockets[0].getsockname()`` tells an address.
    """

    _service: Service | None = None
    _task: ServiceTask
    _group: TaskGroup
    _backend: Backend | None = None  # while run() lasts
    _running: Backend
    _stopping: Flag
    _release: Flag
    _should_exit = False
    _force_exit = False

    def __init__(self, config: Config) -> None:
        self.config = config
        self.started = False
        self.servers: list[Listening] = []
        self.server_state = ServerState(self)
        self._captured_signals: list[int] = []
        self._previous: dict[int, Any] = {}

    @property
    def should_exit(self) -> bool:
        """Set it to stop the server: from any thread, or in a signal handler; it is noticed at once."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        self._tell()

    @property
    def force_exit(self) -> bool:
        """Set it beside ``should_exit`` to cancel what is still at work."""
        return self._force_exit

    @force_exit.setter
    def force_exit(self, value: bool) -> None:
        self._force_exit = value
        self._tell()

    def counters(self) -> dict[str, int]:
        """Return what the core counts: connections that are open and were accepted, exchanges, refusals."""
        return self._service.core.counters() if self._service is not None else {}

    def run(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Serve until a signal or ``should_exit`` stops it, on the library of the options.

        Args:
            sockets: Bound sockets to listen on instead of the address of the options; they are closed at the end.

        Raises:
            UsageError: An async library runs in this thread.
            StartupError: The application, the address or the library is not to be had.
            KeyboardInterrupt: SIGINT has stopped it.
        """
        refuse_inside("server.run()", "'await server.serve()'")
        self._backend = of_its_own(self.config)
        try:
            self._backend.run(lambda: self.serve(sockets))
        finally:
            self._backend = None
        self._raise_captured()

    async def serve(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Serve until it is stopped or cancelled, in the calling task, on the library that it runs in.

        Args and errors are those of :meth:`run`; a cancellation is handled as by :func:`tricorn.serve`.
        """
        with self.capture_signals():
            await self._serve(sockets)

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Listen, start the application up and begin to serve.

        Raises:
            StartupError: The application did not start.
        """
        service = _service(self.config, self._running, sockets)
        service.on_stopping = self._hold
        self._task = ServiceTask(service, self._running)
        self._service = service
        self._tell()
        if not await self._task.start(self._group):
            self._task.check()
            raise StartupError("the application was stopped while it started")
        self.servers = [Listening([_bound(url)]) for url in service.urls]
        self.started = True

    async def main_loop(self) -> None:
        """Wait until the server is to stop."""
        ticks = type(self).on_tick is not Server.on_tick or "on_tick" in vars(self)
        if not ticks:
            await self._stopping.wait()
            return
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            await self._running.sleep(TICK)

    async def on_tick(self, counter: int) -> bool:
        """Tell whether the server is to stop; where a program overrides it, it is called ten times a second."""
        return self.should_exit

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Stop accepting, let what is at work end, shut the application down and close ``sockets``."""
        self._task.service.ask()
        for one in sockets or ():
            one.close()
        await self._release.happen()
        await self._task.ended.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals while the context lasts, if this is the main thread; raise those that came again at its end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._previous = {}
        self.install_signal_handlers()
        try:
            yield
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler)
        if self._backend is None:
            self._raise_captured()

    def install_signal_handlers(self) -> None:
        """Have :meth:`handle_exit` called for SIGINT and SIGTERM; override it to leave signals alone."""
        self._previous = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second SIGINT cancels what is still at work."""
        self._captured_signals.append(sig)
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        else:
            self.should_exit = True

    async def _serve(self, sockets: Sequence[socket.socket] | None) -> None:
        """Serve in a task beside this one, so that what is overridden runs in the caller's task."""
        self._running = backend = self._backend or library()
        self.config.configure_logging()
        self._stopping, self._release = Flag(backend), Flag(backend)
        failure: Exception | None = None
        async with backend.tasks() as self._group:
            try:
                await self._phases(sockets)
            except Exception as error:  # kept, as libraries differ in how a group of tasks raises it
                failure = error
                if self._service is not None:
                    self._service.stop()
            finally:
                await self._release.happen()
        if failure is not None:
            raise failure
        self._task.check()

    async def _phases(self, sockets: Sequence[socket.socket] | None) -> None:
        await self.startup(sockets=sockets)
        if not self.should_exit:
            await self.main_loop()
        if self.started:
            await self.shutdown(sockets=sockets)

    async def _hold(self) -> None:
        """Let the main loop end, and have the service wait for the shutdown that follows."""
        await self._stopping.happen()
        await self._release.wait()

    def _tell(self) -> None:
        """Pass on to the service what was asked for."""
        service = self._service
        if service is not None and self._should_exit:
            service.ask()
            if self._force_exit:
                service.hurry()

    def _raise_captured(self) -> None:
        """Raise the signals that have stopped the server, the last one first, now that their handlers are back."""
        captured, self._captured_signals = self._captured_signals, []
        for number in reversed(captured):
            signal.raise_signal(number)


def _service(config: Config, backend: Backend, sockets: Sequence[socket.socket] | None) -> Service:
    """Return a service that listens on the address of the options, or on sockets."""
    config.load_app()
    if config.wants_processes:
        _logger.warning("The options ask for worker processes or reloading, and %s", ONE_PROCESS)
    config = copy.copy(config)
    if {config.library, backend.name} <= _LOOPS:
        config.loop = config.async_library = "auto"  # as with uvicorn, the loop that runs is taken
    if not sockets:
        return make(config, backend)
    return make(config, backend, [_copy(one, config.backlog) for one in sockets])


def _copy(given: socket.socket, backlog: int) -> Listener:
    """Return a listener for the core, which closes what it listens on, of a socket that its program closes.

    Raises:
        StartupError: It cannot listen.
    """
    try:
        given.listen(backlog)
        return inherited(os.dup(given.fileno()), backlog)
    except OSError as error:
        raise StartupError(f"the socket {given} cannot be listened on: {error.strerror}") from None


def _bound(url: str) -> BoundSocket:
    """Return the socket behind a URL of :attr:`tricorn.server.Service.urls`."""
    scheme, _, rest = url.partition(":")
    if scheme == "unix":
        return BoundSocket(rest, socket.AF_UNIX)
    if scheme == "fd":
        with socket.socket(fileno=os.dup(int(rest.lstrip("/")))) as inherited:
            return BoundSocket(inherited.getsockname(), inherited.family)
    host, _, port = rest.lstrip("/").rpartition(":")
    if host.startswith("["):
        return BoundSocket((host.strip("[]"), int(port), 0, 0), socket.AF_INET6)
    return BoundSocket((host, int(port)), socket.AF_INET)
