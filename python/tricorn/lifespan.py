"""The lifespan protocol (ASGI, lifespan spec 2.0): one task of the library from start-up to shutdown."""

from __future__ import annotations

import logging
import types
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any

from tricorn import logs
from tricorn._backends.base import Backend, Parking, TaskGroup
from tricorn.importer import Application

_logger = logging.getLogger("tricorn.error")

Message = dict[str, Any]


async def settle(awaitable: Awaitable[Any] | None) -> None:
    """Await what a backend's call gave, if it gave anything."""
    if awaitable is not None:
        await awaitable


@types.coroutine
def refusing(
    awaitable: Awaitable[Any], refuse: Callable[[object], BaseException | None]
) -> Generator[Any, Any, Any]:
    """Await, and raise in there what a library has against something yielded; the second time also ends it."""
    inner: Any = awaitable.__await__()
    step, value = inner.send, None
    refused = False
    while True:
        try:
            trap = step(value)
        except StopIteration as stop:
            return stop.value
        error = refuse(trap)
        if error is not None and refused:
            inner.close()
            raise error
        if error is not None:
            refused = True
            step, value = inner.throw, error
            continue
        try:
            step, value = inner.send, (yield trap)
        except BaseException as thrown:
            step, value = inner.throw, thrown


class Flag:
    """Something that happens once; any number of tasks can wait for it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._parkings: dict[Parking, None] = {}  # in the order of their waiting
        self.happened = False

    async def happen(self) -> None:
        """Let everyone who waits go on."""
        self.happened = True
        parkings, self._parkings = self._parkings, {}
        for parking in parkings:
            await settle(parking.wake())

    async def wait(self) -> None:
        """Wait until it has happened; do not suspend if it has."""
        while not self.happened:
            parking = self._backend.park()
            self._parkings[parking] = None
            try:
                await parking.wait()
            finally:
                self._parkings.pop(parking, None)


class Shutdown:
    """The extension ``tricorn.shutdown``: tells an application that the server is about to stop.

    A stream without end looks at it, or waits for it beside its own work, and ends cleanly within the grace period.
    Any task of the application may use it.
    """

    def __init__(self, flag: Flag) -> None:
        self._flag = flag

    def is_set(self) -> bool:
        """Tell whether the server has begun to stop."""
        return self._flag.happened

    async def wait(self) -> None:
        """Wait until the server begins to stop; do not suspend if it has. May be cancelled."""
        await self._flag.wait()


class Lifespan:
    """Runs an application's lifespan.

    Args:
        app: The application.
        mode: ``auto`` goes on without lifespan when the application does not support it, ``on`` demands it,
            ``off`` never calls the application.
        asgi: The value of ``scope["asgi"]``.
        backend: The library that runs the task.
        extensions: The value of ``scope["extensions"]``.

    Attributes:
        state: What the application stored at start-up for its requests; ``None`` without lifespan.
    """

    def __init__(
        self,
        app: Application,
        mode: str,
        asgi: dict[str, str],
        backend: Backend,
        extensions: Mapping[str, object] | None = None,
    ) -> None:
        self._extensions = extensions or {}
        self._app = app
        self._mode = mode
        self._asgi = asgi
        self.state: dict[str, Any] | None = None if mode == "off" else {}
        self._running = False
        self._failed = False
        self._asked = False
        self._abandoned = False
        self._started = Flag(backend)
        self._stopping = Flag(backend)
        self._stopped = Flag(backend)
        self._complete = False
        self._ending: Callable[[], bool] = lambda: False
        self._refuse: Callable[[object], BaseException | None] | None = None

    async def startup(self, group: TaskGroup) -> bool:
        """Start the application's lifespan task in ``group`` and wait until it is ready.

        Returns:
            Whether the server may serve. When not, the log says what failed.
        """
        if self._started.happened:
            return False  # abandoned
        if self._mode == "off":
            return True
        _logger.info("Waiting for application startup.")
        self._running = True
        self._ending = group.ending
        self._refuse = group.refuse
        await settle(group.spawn(self._run))
        await self._started.wait()
        if self._abandoned:
            return False
        if self._failed:
            _logger.error("Application startup failed. Exiting.")
            return False
        if self._complete:
            _logger.info("Application startup complete.")
        return True

    @property
    def is_started(self) -> bool:
        """Whether the application has said that its start-up is complete: then it is owed its shutdown."""
        return self._complete

    async def abandon(self) -> None:
        """End :meth:`startup`, now or later, as its task was cancelled: perhaps before its first step.

        An application that starts up in spite of that is asked to shut down at once; one that has started is owed
        its shutdown, and nothing happens.
        """
        if self._complete:
            return
        self._abandoned = True
        await self._started.happen()
        await self._stopping.happen()

    async def shutdown(self) -> bool:
        """Tell the application that the server has stopped, and wait until it is done.

        Returns:
            Whether it shut down without a failure.
        """
        if self._mode == "off" or not self._running:
            return not self._failed
        _logger.info("Waiting for application shutdown.")
        await self._stopping.happen()
        await self._stopped.wait()
        if self._failed:
            _logger.error("Application shutdown failed.")
            return False
        _logger.info("Application shutdown complete.")
        return True

    async def _run(self) -> None:
        """Call the application; whatever it raises is told to the log and to those who wait."""
        scope = {
            "type": "lifespan",
            "asgi": dict(self._asgi, spec_version="2.0"),
            "extensions": dict(self._extensions),
            "state": self.state,
        }
        try:
            if self._abandoned:
                return
            running = self._app(scope, self._receive, self._send)
            await (running if self._refuse is None else refusing(running, self._refuse))
        except BaseException as error:
            if self._ending() or isinstance(error, GeneratorExit):
                raise
            logs.enable()  # it may have set up logging for itself
            self._raised(error)
        else:
            logs.enable()
            if not self._complete and not self._failed:
                self._unsupported("it returned before lifespan.startup.complete", None)
        finally:
            self._running = False
            self._failed = self._failed or (not self._complete and self._mode == "on")
            await self._started.happen()
            await self._stopped.happen()

    def _raised(self, error: BaseException) -> None:
        """Decide what an exception out of the application means.

        A cancellation that nobody asked for or a SystemExit is a failure; it never says "not supported".
        """
        if self._failed:
            return  # it has told why with startup.failed or shutdown.failed
        if self._complete or not isinstance(error, Exception):
            _logger.error("Exception in the application's lifespan", exc_info=error)
            self._failed = True
        else:
            self._unsupported(f"it raised {type(error).__name__}: {error}".rstrip(": "), error)

    def _unsupported(self, why: str, error: Exception | None) -> None:
        """Go on without lifespan, or fail where it was demanded."""
        self.state = None
        if self._mode == "on":
            _logger.error("The application does not support lifespan: %s", why, exc_info=error)
            self._failed = True
        else:
            _logger.info("The application does not support lifespan: %s", why)

    async def _receive(self) -> Message:
        """Give the start-up event, then, when the server has stopped, that of the shutdown."""
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        """Take the application's answer to an event."""
        logs.enable()
        kind = message["type"]
        starting = not self._started.happened
        if kind not in {
            "lifespan.startup.complete",
            "lifespan.startup.failed",
            "lifespan.shutdown.complete",
            "lifespan.shutdown.failed",
        }:
            raise ValueError(f"unknown message type {kind!r} for a lifespan")
        if self._abandoned:
            return
        if starting != kind.startswith("lifespan.startup."):
            raise RuntimeError(f"{kind} was sent out of order")
        if kind.endswith(".failed"):
            self._failed = True
            if message.get("message"):
                _logger.error("%s", message["message"])
        elif starting:
            self._complete = True
        await (self._started if starting else self._stopped).happen()
