"""Serving one application in this process: from the sockets to the last answer."""

from __future__ import annotations

import contextvars
import gc
import logging
import os
import random
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from tricorn import (
    _core,
    access,
    banner,
    failures,
    importer,
    libraries,
    listening,
    logs,
    protocols,
    systemd,
    tls,
    versions,
)
from tricorn._backends import current, load
from tricorn._backends.base import Backend, TaskGroup
from tricorn.config import Config
from tricorn.ending import ORPHAN_GRACE, Deadline
from tricorn.errors import UsageError
from tricorn.lifespan import Flag, Lifespan, Shutdown, settle
from tricorn.listening import Listener
from tricorn.protocols import websocket
from tricorn.wsgi import WSGI
from tricorn.wsgi.threads import Threads

_logger = logging.getLogger("tricorn.error")

DEFAULT_YOUNG = 700
LATER_YOUNG = 2_000

GRACE = 5.0
"""Seconds that a server which was cancelled, or stopped by its program, gives to what is at work."""

THREAD_GRACE = 1.0
"""Seconds that threads have, after their requests were cancelled, to close what they opened."""

THREAD_LOOKS = 100

DRAINED = 2
LIMIT = 3

SPEC_VERSION = "2.5"


def run(config: Config, *, ends_process: bool = False) -> int:
    """Serve until a signal stops the server.

    The first SIGINT or SIGTERM stops it gracefully; the second cancels what is still at work; one after that,
    a second one during the application's start-up, or one during its shutdown, ends the process. One during the
    drain delay only ends that. docs/stopping.md has the whole.

    Args:
        config: The options.
        ends_process: Whether the process ends when this has returned; then the application's threads are not
            waited for beyond the time for a forced shutdown.

    Returns:
        The exit code: 0 after a graceful stop, 1 when the application's shutdown failed, 3 when it did not start,
        128 and the signal's number after a second signal. A stop that takes too long ends the process with 4.

    Raises:
        StartupError: The application, the address or the async library is not to be had.
        UsageError: The application's name cannot be meant, or an async library runs in this thread.
    """
    importer.refuse_in_worker()
    refuse_inside("tricorn.run()", "'await tricorn.serve()' or 'async with tricorn.running()'")
    app, backend = prepare(config)
    server = Service(config, app, backend, owns_process=True)
    notify(server, config)
    try:
        with server.signals(_own_signals()):
            return backend.run(server.main)
    finally:
        if ends_process:
            server.deadline.begin("threads of the application")
        else:
            server.deadline.end()


def _own_signals() -> list[int]:
    """Return the signals that stop a process of one server's own; a hang-up is passed over where nohup says so."""
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, *([signal.SIGHUP] if hangs_up else [])]


_INTERFACES = {"asgi3": "ASGI 3", "asgi2": "ASGI 2", "wsgi": "WSGI"}


def notify(server: Service, config: Config) -> None:
    """Have systemd told that a server serves, lives and stops, if this process is a service of its."""
    notifier = systemd.Notifier()

    async def on_started() -> None:
        notifier.ready(f"Serving {banner.app_name(config)} on {', '.join(server.urls)}")

    async def on_stopping() -> None:
        notifier.stopping()

    server.on_started, server.on_stopping = on_started, on_stopping
    if notifier.interval is not None:
        server.beside.append(partial(notifier.beat, server.backend.sleep))


def probe(config: Config) -> str:
    """Load the application and all that is to serve it, without serving.

    Returns:
        What was found, in words.

    Raises:
        StartupError: The application, the async library or a parser is not to be had.
        UsageError: The application's name cannot be meant.
    """
    app, backend = prepare(config)
    if config.is_ssl:
        tls.warn(tls.make(config))
    protocols.load(config.http)
    if config.ws != "none":
        websocket.load(config.ws)
    interface = importer.interface_of(app, config.interface)
    return f"{_INTERFACES[interface]} on {versions.with_version(backend.name)}"


def prepare(config: Config, app: importer.Application | None = None) -> tuple[importer.Application, Backend]:
    """Get ready to serve in a process that is there for it alone.

    Args:
        config: The options.
        app: The application, where it has been imported; else that of the options is.

    Returns:
        The application, and a backend of the library that is to run it.

    Raises:
        StartupError: The application or the async library is not to be had.
        UsageError: The application's name cannot be meant.
    """
    _core.keep_memory()
    logs.share()
    known = config.library != "auto" and not config.loop_factory  # a factory may be the application's own
    backend = load(config.library) if known else None
    if app is None:
        app = importer.load(
            config.app, factory=config.factory, app_dir=config.app_dir, interface=config.interface
        )
    if backend is None:
        name = config.library if config.loop_factory else libraries.declared(app, _app_name(config)) or "auto"
        backend = load(name, config.loop_factory)
    logs.enable()  # an application that configures logging with dictConfig() switches off what it does not name
    return app, backend


def _app_name(config: Config) -> str | None:
    """Return where the application is imported from, if it is."""
    return config.app if isinstance(config.app, str) else None


def refuse_inside(call: str, instead: str) -> None:
    """Refuse a call that would run a library where one runs already, and block it.

    Raises:
        UsageError: A library runs in this thread; ``instead`` is what to call there.
    """
    backend = current()
    if backend is not None:
        raise UsageError(
            f"{call} was called in a task of {backend.name}, which it would block", f"call {instead}"
        )


async def _nothing() -> None:
    """Do nothing."""


class Service:
    """One application, its listeners and its stop, on one backend: what every way to serve is made of.

    The programs' own ``tricorn.Server`` is in :mod:`tricorn.uvicorn_server`.

    Args:
        config: The options.
        app: The application.
        backend: A backend of the server's own.
        owns_process: Whether the process is there for this server alone, so that the collector is tuned for it.
        listeners: Where to listen; by default the addresses of the options are bound. The core owns them from now on.
        supervisor: The process that has started this one as a worker, 0 for none; it says what concerns all of them.
        seed: What the keys of session tickets are derived from, where other servers are to take the tickets, too.

    Attributes:
        backend: The library's backend.
        core: The server in C.
        deadline: What ends the process, if it is the server's own, when a stop takes too long.
        urls: Where it listens.
        on_started: Called once it serves.
        on_stopping: Called when a stop was asked for; what is at work is let go on until it has returned.
        is_relieved: Tells, at a signal to stop, whether others serve on at the same addresses.
        beside: What runs in tasks of the library as long as it serves, and is cancelled then.
    """

    def __init__(
        self,
        config: Config,
        app: importer.Application,
        backend: Backend,
        *,
        owns_process: bool = False,
        listeners: Sequence[Listener] | None = None,
        supervisor: int = 0,
        seed: bytes | None = None,
    ) -> None:
        self._config = config
        self.backend = backend
        self._owns_process = owns_process
        self._supervised = supervisor != 0
        self._grace = config.timeout_graceful_shutdown
        self._group: TaskGroup | None = None
        self.on_started: Callable[[], Coroutine[Any, Any, None]] = _nothing
        self.on_stopping: Callable[[], Coroutine[Any, Any, None]] = _nothing
        self.is_relieved: Callable[[], bool] = lambda: False
        self._relieved = False
        self.beside: list[Callable[[], Coroutine[Any, Any, None]]] = []
        # Taking from a list is atomic, and never waits: a lock could be held by what a signal interrupts.
        self._stops, self._hurries = [True], [True]
        self._gave_up = False
        self._signals = 0
        self._last_signal = 0
        self._expired = False
        self._handled: Sequence[int] = ()
        self._has_terminal = False
        self._draining = self._hurried = False
        self._pid = os.getpid()
        self._leaves = not config.drain_delay  # answers say that connections end from the first signal on
        forced = config.timeout_forced_shutdown if owns_process else None
        self.deadline = Deadline(forced or 0.0, supervisor)
        self._ending: Callable[[], bool] = lambda: False
        self._serving = False
        self._past_serving = False
        self._finish_log: Callable[[], None] = lambda: None
        app, version = self._interface(app)
        asgi = {"version": f"{version}.0", "spec_version": SPEC_VERSION}
        self._shutting_down = Flag(backend)
        extensions = {"tricorn.shutdown": Shutdown(self._shutting_down)}
        lifespan = "off" if self._threads is not None else config.lifespan
        self._lifespan = Lifespan(app, lifespan, {"version": asgi["version"]}, backend, extensions)
        self.core = _core.Server(
            app,
            limits=config.limits,
            scope=_common_scope(config),
            asgi=asgi,
            root_path=config.root_path,
            on_error=failures.Failures(config, backend.name, lambda: self._ending()).failed,
            on_refusal=failures.refused,
            access_log=None,
            date=config.sends_date,
            server=config.server_name,
            parser=self._parser(config),
            extensions=extensions,
            cancels=failures.causes(config),
            websockets=config.websockets,
            ws_protocol=_ws_protocol(config),
            http2=_http2_unasked(config),
            fields=b"".join(name + b": " + value + b"\r\n" for name, value in config.default_fields),
        )
        self.core.set_proxies(**config.proxies)
        self._certificates = self._keep_certificates(seed, supervised=supervisor != 0)
        self._listeners = list(listeners) if listeners is not None else listening.open_all(config)
        for listener in self._listeners:
            self.core.listen(listener.fd, config.backlog, listener.server, listener.proxy)
        self.urls = [tls.shown(listener.url, config) for listener in self._listeners]

    def _keep_certificates(self, seed: bytes | None, *, supervised: bool) -> tls.Keeper | None:
        """Have the core speak TLS, if the options say so, and the files looked at."""
        if not self._config.is_ssl:
            return None
        keeper = tls.Keeper(self._config, self.core.set_tls, seed or tls.new_seed())
        keeper.start(quiet=supervised)
        if self._config.ssl_reload:
            self.beside.append(partial(keeper.watch, self.backend.sleep))
        return keeper

    def _interface(self, app: importer.Application) -> tuple[importer.Application, int]:
        """Return the application as one of ASGI 3, and the version of ASGI that it follows itself."""
        self._threads: Threads | None = None
        interface = importer.interface_of(app, self._config.interface)
        if interface != "wsgi":
            version = 2 if interface == "asgi2" else 3
            return importer.single_callable(app, version), version
        _logger.info("Serving a WSGI application in up to %d threads", self._config.wsgi_threads)
        adapted = WSGI(app, self._config.wsgi_threads, multiprocess=(self._config.workers or 1) > 1)
        self._threads = adapted.threads
        return adapted, 3

    def _parser(self, config: Config) -> protocols.Binding | None:
        """Return what reads the requests, ``None`` for the parser in C."""
        make = protocols.load(config.http)
        if make is None:
            return None
        limits = protocols.Limits(
            config.limit_request_head, config.limit_trailers, config.limit_chunk_extensions
        )
        answer = protocols.Answer if hasattr(make, "submit_head") else None
        return protocols.Binding(partial(make, limits), failures.parser_failed, answer=answer)

    @contextmanager
    def signals(self, numbers: Sequence[int] = (signal.SIGINT, signal.SIGTERM)) -> Iterator[None]:
        """Take these signals while the context lasts, if this is the main thread; SIGUSR1 too, to reopen log files."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        rereads = signal.SIGHUP in numbers and self._certificates is not None
        numbers = [number for number in numbers if not (rereads and number == signal.SIGHUP)]
        previous = {number: signal.signal(number, self._on_signal) for number in numbers}
        if self._supervised:
            previous[signal.SIGQUIT] = signal.signal(signal.SIGQUIT, self._on_quit)
        if rereads:
            self._has_terminal = _terminal()
            previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._on_hangup)
        if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:  # else it is the application's
            previous[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, on_reopen)
        self._handled = numbers
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        """Read the certificates again; stop, when it was our terminal that has gone."""
        if self._is_not_ours(number):
            return
        if self._certificates is None or (self._has_terminal and not _terminal()):
            self._on_signal(number, frame)
        else:
            self._certificates.again()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Ask for a stop; a signal that comes when asking cannot help, or no longer, ends the process."""
        if self._is_not_ours(number):
            return
        if self._supervised and self._signals and not self.deadline.is_orphaned:
            return  # a manager of services may send it to every process, and the supervisor does so again
        if self._draining:
            self._draining = False
            self._interrupt()
            return
        if not self._signals and self.is_relieved():
            self._relieved = self._leaves = True
            self.core.relieve()
        self._signals += 1
        self._last_signal = number
        if number == signal.SIGQUIT and self._signals == 1 and self._serving:
            self._signals = 2  # the first and the second in one
            self._hurried = True
            self._interrupt()
        enough = 2 if self._serving else 1
        if self._signals > enough or self._past_serving:
            self._end_at_once(number)
        self._interrupt()

    def _on_quit(self, number: int, _frame: FrameType | None) -> None:
        """Stop a worker without waiting for what is at work; a terminal sends this beside the supervisor."""
        if self._is_not_ours(number) or self._hurried:
            return
        self._hurried = True
        if not self._serving:
            self._end_at_once(number)
        if not self._signals:
            self._signals = 1
            self._interrupt()
        if self._draining:
            self._draining = False
            self._interrupt()
        self._interrupt()

    def _is_not_ours(self, number: int) -> bool:
        """Tell whether this is a process that the application has forked, for which the signal does what is usual."""
        if os.getpid() == self._pid:
            return False
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return True

    def _end_at_once(self, number: int) -> NoReturn:
        """End the process as a signal would, but for its log."""
        try:
            self._finish_log()
            _logger.error("Ended by a further signal; what was still at work is lost.")
            logging.shutdown()
        finally:  # the log may have been interrupted in the midst of a line
            os._exit(128 + number)

    def _interrupt(self) -> None:
        self.core.interrupt(self._leaves)

    def stop(self) -> None:
        """Ask for a stop: what is at work may end within the grace period. From any thread, at any time."""
        if self._grace is None:
            self._grace = GRACE
        self.ask()

    def ask(self) -> None:
        """Ask for a stop within the grace period of the options, if they have one; asking again changes nothing."""
        self._interrupt_once(self._stops)

    def hurry(self) -> None:
        """Have what the stop waits for cancelled at once."""
        self.ask()
        self._interrupt_once(self._hurries)

    def _interrupt_once(self, left: list[bool]) -> None:
        with suppress(IndexError):
            left.pop()
            self._interrupt()

    async def give_up(self) -> None:
        """End soon, as the task that serves was cancelled: within the grace period, and at once when asked again."""
        endless = not self._stops and self._grace is None
        if self._gave_up or endless:
            self.hurry()
        self._gave_up = True
        self.stop()
        if self._draining:
            self._draining = False
            self._interrupt()
        about_to_serve = self._lifespan.is_started and not self._past_serving
        if self._group is not None and not self._serving and not about_to_serve:
            await settle(self._group.cancel())
            await self._lifespan.abandon()

    async def main(self) -> int:
        """Serve from the application's start-up to its shutdown; returns the exit code."""
        with listening.files(self._listeners):
            try:
                return await self._main()
            finally:
                self._finish_log()

    async def _main(self) -> int:
        started = stopped = False
        if self._handled:  # not before the library runs: trio sets handlers once more when it starts
            self.deadline.heed(self._handled, self._config.drain_delay or 0.0, self._grace)
        async with self.backend.tasks() as group:
            self._group = group
            if self._gave_up:
                await self._lifespan.abandon()
            async with self.backend.watch(self.core.fileno()) as wait:
                try:
                    started = await self._lifespan.startup(group)
                    if started:
                        await self._serve_beside(wait)
                finally:
                    self.core.close()
            self._past_serving = True
            self._serving = False
            await self._end_threads()
            if started:
                self.deadline.begin("the shutdown of the application (lifespan)")
            stopped = await self._lifespan.shutdown() if started else False
        if not started:
            return 3
        if self._signals > 1:
            return 128 + self._last_signal
        return 0 if stopped else 1

    async def _end_threads(self) -> None:
        """Give the threads of a WSGI application that were let down a moment to clean up; then leave them behind."""
        if self._threads is None:
            return
        self._threads.close()
        for _ in range(THREAD_LOOKS):
            if not self._threads.alive:  # none is in the midst of its end when the interpreter goes
                return
            await self.backend.sleep(THREAD_GRACE / THREAD_LOOKS)
        _logger.error("Leaving %d thread(s) behind: their requests do not end.", self._threads.alive)

    async def _serve_beside(self, wait: Any) -> None:
        """Serve, and run what is to run as long."""
        async with self.backend.tasks() as group:
            for function in self.beside:
                await settle(group.spawn(function))
            await self._serve(wait)
            await settle(group.cancel())

    async def _serve(self, wait: Any) -> None:
        """Serve until a notice says stop and every exchange has ended."""
        async with self.backend.tasks() as group:
            spawn = partial(group.spawn, self.core.runner)
            backend = self.backend
            self._log_access()
            # What every exchange gets a copy of: nothing, or what the lifespan and the program have set.
            context = contextvars.Context() if self._config.reset_contextvars else contextvars.copy_context()
            context.run(
                self.core.attach,
                spawn=spawn,
                wait=wait,
                park=backend.park,
                checkpoint=backend.checkpoint,
                ending=group.ending,
                stray=group.stray,
                refuse=group.refuse,
                canceller=group.canceller,
                state=self._lifespan.state,
            )
            self._ending = group.ending
            self._serving = True
            if self._owns_process:
                _spare_the_collector()
            self.core.set_ready(True)
            await settle(spawn())
            self._limit_requests()
            self._announce()
            await self.on_started()
            if await self.core.notice() == LIMIT:
                _logger.info("The limit of requests is reached (--limit-max-requests).")
            await self._drain()
            await self.on_stopping()
            await self._stop(group)

    def _log_access(self) -> None:
        """Set up the access log, now that the application has had its start-up to change the loggers in."""
        name = self.backend.name
        self._finish_log = access.start(self.core, self._config, name, direct=self._owns_process)

    def _limit_requests(self) -> None:
        """Have the server stop after a number of requests, if the options say so; a supervisor sees to its workers'."""
        most = self._config.limit_max_requests
        if most is not None and not self._supervised:
            self.core.limit(most + random.randint(0, self._config.limit_max_requests_jitter))

    async def _drain(self) -> None:
        """Go on serving for the drain delay, as not ready: a balancer in front stops sending requests here."""
        self.core.set_ready(False)
        delay = self._config.drain_delay
        if not delay or self._relieved or self._gave_up or self._hurried or self.deadline.is_orphaned:
            return
        _logger.info("Draining for %g s: not ready, and serving on. (CTRL+C to go on at once)", delay)
        self._draining = True
        async with self.backend.tasks() as timers:
            await settle(timers.spawn(partial(self._interrupt_after, delay)))
            await self.core.notice()
            await settle(timers.cancel())
        self._draining = False
        self._leaves = True

    async def _interrupt_after(self, seconds: float) -> None:
        await self.backend.sleep(seconds)
        self._interrupt()

    async def _stop(self, group: TaskGroup) -> None:
        """Let exchanges end within the grace period, then cancel what is left."""
        _logger.info("Shutting down")
        if self._grace is None and self.deadline.is_orphaned:
            self._grace = ORPHAN_GRACE
        self.core.stop(self._config.shutdown_signal_streams)
        await self._shutting_down.happen()
        counters = self.core.counters()
        if counters["active"]:
            _logger.info("Waiting for %d request(s) to complete. (CTRL+C to force quit)", counters["active"])
        elif counters["open"]:
            _logger.info("Waiting for %d connection(s) to end. (CTRL+C to force quit)", counters["open"])
        async with self.backend.tasks() as timers:
            if self._grace is not None:
                await settle(timers.spawn(self._expire))
            notice = await self.core.notice()
            await settle(timers.cancel())
        if notice != DRAINED:
            await self._cancel(group)
        else:
            self.deadline.begin("tasks of requests that were answered")
        self.core.close()

    async def _expire(self) -> None:
        """End the grace period."""
        await self.backend.sleep(self._grace or 0)
        self._expired = True
        self.core.interrupt()

    async def _cancel(self, group: TaskGroup) -> None:
        """Cancel the exchanges that are left."""
        why = "the program does not wait for them"
        if self._expired:
            why = "the time for a graceful shutdown is over"
        elif self._signals > 1 or self._hurried:
            why = "a second signal came"
        active = self.core.counters()["active"]
        self.deadline.begin(f"of {active} request(s) that were cancelled, one or more did not end")
        if active:
            _logger.error(
                "Cancelling %d request(s): %s. (CTRL+C to quit without waiting for them)", active, why
            )
        await settle(group.cancel())

    def _announce(self) -> None:
        """Say what runs, where, on which library and core."""
        if self._supervised:
            return
        if self._owns_process:
            lines = banner.lines(self._config, self.urls, self.backend.name)
        else:
            lines = [banner.where(self.urls, self.backend.name)]
        for line in lines:
            _logger.info("%s", line)


def on_reopen(_number: int, _frame: FrameType | None) -> None:
    """Reopen the log files, after a rotation."""
    for problem in logs.reopen():
        _logger.error("%s", problem)


def _ws_protocol(config: Config) -> websocket.Binding | None:
    """Return what reads and writes the frames of WebSockets, ``None`` for the code in C."""
    make = websocket.load(config.ws)
    return None if make is None else websocket.Binding(partial(make, config.frames), failures.frames_failed)


def _spare_the_collector() -> None:
    """Keep the collector from walking what is in use: all that the application has made so far, and requests at work.

    It looks at young objects whenever there are 700 of them, which a few dozen requests at once always have;
    Python 3.13 waits for 2,000, and so do we. Another number is the application's own choice, and kept.
    """
    gc.collect()
    gc.freeze()
    young, *older = gc.get_threshold()
    if young == DEFAULT_YOUNG:
        gc.set_threshold(LATER_YOUNG, *older)


def _http2_unasked(config: Config) -> bool:
    """Return whether HTTP/2 is spoken without TLS.

    Raises:
        UsageError: It is to be, and this build cannot.
    """
    if config.http2 and not versions.has_http2():
        raise UsageError(
            "--http2 asks for HTTP/2, which is not built in",
            "install nghttp2 (Debian: apt-get install libnghttp2-dev) and build Tricorn again",
        )
    return bool(config.http2)


def _terminal() -> bool:
    """Tell whether the process has a terminal that can send it a hang-up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _common_scope(config: Config) -> dict[str, Any]:
    """Return what the scopes of all requests have in common."""
    return {
        "type": "http",
        "http_version": "1.1",
        "scheme": "https" if config.is_ssl else "http",
        "root_path": config.root_path,
        "server": None,
    }
