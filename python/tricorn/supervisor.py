"""The supervisor: it opens the sockets once, and starts, watches, replaces and ends the worker processes.

It runs no async library, and accepts no connection. Signals: TERM and INT stop gracefully, a second one hurries, a
third ends the workers at once; QUIT hurries from the start; HUP replaces the workers one after another; TTIN and TTOU
change their number; USR1 reopens the log files.
"""

from __future__ import annotations

import logging
import pickle
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, TypeVar

from tricorn import banner, importer, listening, logs, spawning, systemd, tls
from tricorn._backends import load
from tricorn.config import Config
from tricorn.crew import ABORTED, Crew, Slot, Worker
from tricorn.errors import StartupError, UsageError
from tricorn.importer import Application

_logger = logging.getLogger("tricorn.error")

Made = TypeVar("Made")

TICK: Final = 0.25
"""Seconds between two looks at the workers."""
FAILURES: Final = 2
"""Workers that fail to start, one after another, until the server gives up."""
PATIENCE: Final = 10.0
"""Seconds that the end of a worker is waited for before the next one is replaced, where nothing limits its requests."""
SPARE: Final = 5.0
"""Seconds that a worker has beyond its own deadlines."""
STEERED: Final = 0.2
"""Seconds from when a slot gets no new connections until those under way have come."""

HUNG: Final = 10.0
"""Seconds after which a worker that is not ready is given up when all are to be replaced: it may hang."""
ABSENT: Final = 2.0
"""A supervisor that has not looked for so many seconds was stopped itself, and its workers maybe with it."""

NOT_STARTED: Final = 3


def run(config: Config, *, ends_process: bool = False) -> int:
    """Serve with worker processes until a signal stops the server.

    Args:
        config: The options.
        ends_process: Not of interest here: the application runs in other processes.

    Returns:
        The exit code: 0 after a graceful stop, 1 when a worker had to be killed, 3 when no worker could start, 128
        and the signal's number after a second signal.

    Raises:
        StartupError: An address is not to be had; with ``preload``, the application is not.
        UsageError: The application is no name, or this is not the main thread.
    """
    check(config)
    app = _preload(config)
    return prepared(lambda: Supervisor(config, app)).run()


def prepared(make: Callable[[], Made]) -> Made:
    """Return a supervisor.

    Raises:
        StartupError: It cannot have the descriptors that it needs.
    """
    try:
        return make()
    except OSError as error:
        raise StartupError(
            f"the worker processes cannot be prepared: {error.strerror}",
            "raise the limit of open files (ulimit -n), or have fewer --workers",
        ) from None


def check(config: Config) -> None:
    """Refuse what worker processes cannot serve.

    Raises:
        UsageError: The application is no name, or this is not the main thread; or a certificate is not to be had.
    """
    importer.refuse_in_worker()
    if not isinstance(config.app, str):
        raise UsageError(
            "worker processes import the application by its name, and an object was given",
            "pass it as 'module:attribute'",
        )
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("worker processes are watched from the main thread, and this is another one")
    if config.library != "auto":
        load(config.library)
    if config.is_ssl:
        tls.warn(tls.make(config))
    if not config.preload:
        try:
            pickle.dumps(config)
        except Exception as error:
            raise UsageError(
                f"an option cannot be passed to worker processes: {error}",
                "name objects as 'module:attribute', or serve with one process",
            ) from None


def _preload(config: Config) -> Application | None:
    """Import the application for all workers, if the options say so."""
    if not config.preload:
        return None
    logs.share()
    app = importer.load(
        config.app, factory=config.factory, app_dir=config.app_dir, interface=config.interface
    )
    logs.enable()  # it may have set up logging for itself
    if threading.active_count() > 1:
        _logger.warning(
            "The application has started %d thread(s) while it was imported: the workers will not have them",
            threading.active_count() - 1,
        )
    spawning.freeze()
    return app


class Supervisor:
    """The workers of one server, and what happens to them.

    Args:
        config: The options.
        app: The application, where it was imported for all of them.
    """

    def __init__(self, config: Config, app: Application | None = None) -> None:
        self._config = config
        self._preloaded = app is not None
        self._crew = Crew(config, app)
        self._crew.on_start = self._watch
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._crew.private = [self._selector.fileno(), self._woken.fileno(), self._waker.fileno()]
        self._signals: dict[int, Callable[[int], None]] = {
            signal.SIGTERM: self._on_stop,
            signal.SIGINT: self._on_stop,
            signal.SIGQUIT: self._on_quit,
            signal.SIGHUP: self._on_hangup,
            signal.SIGTTIN: self._on_more,
            signal.SIGTTOU: self._on_fewer,
            signal.SIGUSR1: self._on_reopen,
            signal.SIGCHLD: lambda _number: None,
        }
        self._notifier = systemd.Notifier()
        self._alive_at = 0.0
        self._stops = 0
        self._last_signal = 0
        self._code = 0
        self._failures = 0
        self._announced = False
        self._reloading = False
        self._to_replace: deque[tuple[Slot, str]] = deque()
        self._replacing: Slot | None = None
        self._replaced_at = 0.0
        self._told_at = 0.0
        self._target = config.workers
        self._looked_at = self._back_at = 0.0
        self._retiring: tuple[Slot, float] | None = None
        self._steered: tuple[int, list[int]] = (self._target, [])

    def run(self) -> int:
        """Open the sockets, and keep the workers going until the server stops; returns the exit code."""
        try:
            prepared(self._open)
            with self._handlers():
                for slot in self._crew.slots:
                    slot.start_at = 0.0
                while not self._is_over():
                    self._turn()
        finally:
            self._crew.close()
            self._selector.close()
            self._woken.close()
            self._waker.close()
        if self._stops > 1:
            return 128 + self._last_signal
        return self._code

    def _open(self) -> None:
        """Open the sockets of every slot."""
        for _ in range(self._target):
            self._crew.add()

    # --- the loop ---

    @contextmanager
    def _handlers(self) -> Iterator[None]:
        """Have signals wake the loop."""
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._take_signals)
        previous = {number: signal.signal(number, _do_nothing) for number in self._signals}
        wakeup = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _turn(self) -> None:
        """Wait for something to happen, and do what is due."""
        for key, _ in self._selector.select(TICK):
            key.data()
        for one, code in self._crew.ended():
            self._unwatch(one)
            self._on_end(one, code)
        self._crew.kill_overdue()
        self._start_due()
        self._tell_alive()
        if not self._stops:
            self._look_after()
            self._replace_next()
            self._adjust()
            self._steer()

    def _is_over(self) -> bool:
        """Tell whether the server has stopped."""
        return self._stops > 0 and not self._crew.workers

    def _watch(self, one: Worker) -> None:
        """Listen to a worker that was started."""
        self._selector.register(one.process.channel, selectors.EVENT_READ, lambda: self._on_message(one))

    def _unwatch(self, one: Worker) -> None:
        """Forget the channel of one that has ended, or has nothing more to say."""
        for key in list(self._selector.get_map().values()):
            if key.fileobj is one.process.channel:
                self._selector.unregister(key.fileobj)

    def wake(self) -> None:
        """Have the loop turn; from any thread."""
        with suppress(OSError):
            self._waker.send(b"\0")

    def _take_signals(self) -> None:
        """Act on the signals that have come."""
        for number in self._woken.recv(4096):
            if number in self._signals:
                self._signals[number](number)

    # --- signals ---

    def _on_stop(self, number: int) -> None:
        """Stop: gracefully, at the second signal soon, at the third at once."""
        self._stops += 1
        self._last_signal = number
        if self._stops == 1:
            self._begin_to_stop()
            for one in self._crew.workers:
                if not one.stopping:
                    one.stop(self._patience())
            return
        if self._stops == 2:
            for one in self._crew.workers:
                one.hurry(self._shortest_patience())
            return
        _logger.error("Ended by a further signal; what was still at work is lost.")
        for one in self._crew.workers:
            one.process.kill(signal.SIGKILL)

    def _begin_to_stop(self) -> None:
        """Say so, and start no more workers."""
        _logger.info("Stopping %d worker(s)", len(self._crew.workers))
        self._notifier.stopping()
        for slot in self._crew.slots:
            slot.start_at = None

    def _on_quit(self, number: int) -> None:
        """Stop, and cancel what is at work."""
        if self._stops == 0:
            self._stops = 1
            self._begin_to_stop()
        self._on_stop(number)

    def _on_hangup(self, _number: int) -> None:
        """Replace every worker."""
        if self._stops:
            return
        what = " (the application stays as it was imported: --preload)" if self._preloaded else ""
        _logger.info("Replacing the workers one after another%s", what)
        self._notifier.reloading()
        self._reloading = True
        self._to_replace = deque((slot, "") for slot in self._crew.slots)
        self._told_at = now = time.monotonic()
        for slot in self._crew.slots:
            for one in (slot.worker, slot.successor):
                if one is not None and not one.ready and not one.stopping and now - one.born > HUNG:
                    _logger.error("%s has not become ready in %.0f s: ending it", one.name, now - one.born)
                    one.stop(ABORTED)

    def _on_more(self, _number: int) -> None:
        """Have one more worker."""
        self._target = min(self._target + 1, self._crew.most)
        _logger.info("There are to be %d workers", self._target)

    def _on_fewer(self, _number: int) -> None:
        """Have one worker less, but one at least."""
        self._target = max(self._target - 1, 1)
        _logger.info("There are to be %d worker(s)", self._target)

    def _on_reopen(self, _number: int) -> None:
        """Reopen the log files, here and in the workers."""
        for problem in logs.reopen():
            _logger.error("%s", problem)
        for one in self._crew.workers:
            one.process.kill(signal.SIGUSR1)

    # --- workers ---

    def _on_message(self, one: Worker) -> None:
        """A worker is ready, or says why it is not."""
        was_ready = one.ready
        if not one.read():
            self._unwatch(one)
        if was_ready or not one.ready or one.stopping:
            return
        self._failures = 0
        _logger.info("%s is ready", one.name)
        if one is one.slot.successor:
            self._on_successor(one.slot)
        self._announce()

    def _on_successor(self, slot: Slot) -> None:
        """The worker that takes over is ready: the one before it may go."""
        old = slot.promote()
        self._replaced_at = time.monotonic()
        if old is not None:
            old.relieve(self._patience())

    def _on_end(self, one: Worker, code: int) -> None:
        """A worker has ended: say so, and start another unless it was told to end."""
        if one.stopping:
            self._on_stopped(one, code)
            return
        if not one.ready:
            self._on_failure(one, code)
            return
        _logger.error("%s %s: starting another%s", one.name, _describe(code), _lost_with(one))
        if one.slot.worker is None and not self._stops:
            one.slot.crashed(time.monotonic() - one.born)

    def _on_stopped(self, one: Worker, code: int) -> None:
        """A worker that was told to end has ended."""
        level = logging.INFO if code == 0 else logging.WARNING
        _logger.log(level, "%s %s", one.name, _describe(code))
        if self._stops and code != 0 and one.ready:
            self._code = self._code or 1
        retiring = self._retiring is not None and self._retiring[0] is one.slot
        if one.slot.worker is None and not self._stops and not retiring:
            one.slot.start_at = time.monotonic()

    def _on_failure(self, one: Worker, code: int) -> None:
        """A worker could not start."""
        reason = one.reason or f"it {_describe(code)}"
        _logger.error("%s could not start: %s", one.name, reason)
        if self._stops:
            return
        if one.slot.worker is not None:
            _logger.error("The worker before it goes on, and so do the others")
            one.slot.refused()
            if (
                one.born >= self._told_at
            ):  # else a further SIGHUP has come meanwhile, and perhaps made it good
                self._to_replace.clear()
            return
        self._failures += 1
        if self._failures >= FAILURES:
            _logger.error("Giving up: no worker can start")
            self._code = code if code in (2, NOT_STARTED) else NOT_STARTED
            self._give_up()
            return
        one.slot.crashed(time.monotonic() - one.born)

    def _give_up(self) -> None:
        """Stop by ourselves."""
        self._on_stop(signal.SIGTERM)

    def _start_due(self) -> None:
        """Start the workers that are due."""
        now = time.monotonic()
        for slot in self._crew.slots:
            if slot.start_at is None or slot.start_at > now or slot.worker is not None:
                continue
            try:
                slot.worker = self._crew.start(slot)
            except OSError as error:
                delay = slot.crashed(0)
                _logger.error("No process for worker %d: %s; again in %g s", slot.number, error, delay)

    def _look_after(self) -> None:
        """End workers that stand still, and have those replaced that have done enough."""
        limit = self._config.timeout_worker_healthcheck
        now = time.monotonic()
        if now - self._looked_at > ABSENT:
            self._back_at = now
        self._looked_at = now
        for slot in self._crew.slots:
            one = slot.worker
            if one is None or not one.ready or one.stopping:
                continue
            state = self._crew.state(one)
            stood = min(state.age, now - one.ready_at, now - self._back_at)
            if limit and stood > limit:
                _logger.error("%s has stood still for %.1f s: ending it", one.name, stood)
                one.abort()
                continue
            if self._replacing is slot or any(waiting is slot for waiting, _ in self._to_replace):
                continue
            if now < slot.rests_until:
                continue
            why = one.bounds.reached(state.exchanges, now - one.born, one.process.pid)
            if why is not None:
                self._to_replace.append((slot, why))

    def _replace_next(self) -> None:
        """Start the next successor, once the last one has taken over and the worker before it has ended."""
        if self._replacing is not None and not self._has_replaced(self._replacing):
            return
        self._replacing = None
        if not self._to_replace:
            if self._reloading:
                self._reloading = False
                self._tell_ready()
            return
        slot, why = self._to_replace.popleft()
        if slot not in self._crew.slots or slot.worker is None or not slot.worker.ready:
            return
        if why:
            _logger.info("%s is replaced: %s", slot.worker.name, why)
        try:
            slot.successor = self._crew.start(slot)
        except OSError as error:
            _logger.error("No process for worker %d: %s", slot.number, error)
            return
        if slot.successor is not None:
            self._replacing = slot

    def _has_replaced(self, slot: Slot) -> bool:
        """Tell whether a successor has taken over, or failed, and the one before it is gone or takes its time."""
        if slot.successor is not None:
            return False
        waited = time.monotonic() - self._replaced_at
        return not slot.leaving or waited > (self._patience() or PATIENCE)

    def _adjust(self) -> None:
        """Bring the number of slots nearer to what it is to be."""
        if self._retiring is not None:
            self._retire(*self._retiring)
        elif self._target > len(self._crew.slots):
            try:
                self._crew.add().start_at = 0.0
            except OSError as error:
                _logger.error("No further worker: %s", error.strerror)
                self._target = len(self._crew.slots)
        elif self._target < len(self._crew.slots):
            self._retiring = (self._crew.slots[-1], time.monotonic() + STEERED)

    def _retire(self, slot: Slot, at: float) -> None:
        """End the worker of the last slot, once those who are connecting to it have come."""
        if time.monotonic() < at:
            return
        slot.start_at = None
        for one in slot.workers:
            if not one.stopping:
                one.relieve(self._patience())
        if slot.workers:
            return
        self._crew.drop(slot)
        self._retiring = None

    def _steer(self) -> None:
        """Have new connections pass by the slots that nobody serves now, while others do, and the one that goes."""
        slots = self._crew.slots
        retiring = self._retiring[0] if self._retiring is not None else None
        out = [slot.index for slot in slots if slot is retiring or not slot.serves]
        if len(out) == len(slots):
            out = []
        if (len(slots), out) != self._steered:
            listening.steer(slots[0].listeners, len(slots), out)
            self._steered = (len(slots), out)

    def _patience(self) -> float | None:
        """Return how long a worker may take to stop; ``None`` while the options set no limit."""
        config = self._config
        if config.timeout_graceful_shutdown is None:
            return None
        forced = config.timeout_forced_shutdown or 0
        return (config.drain_delay or 0) + config.timeout_graceful_shutdown + forced + SPARE

    def _shortest_patience(self) -> float | None:
        """Return how long a worker may take that does not wait for what is at work; ``None`` for any time."""
        forced = self._config.timeout_forced_shutdown
        return None if not forced else forced + SPARE

    def _announce(self) -> None:
        """Say where the server listens, once every worker is ready for the first time."""
        if self._announced or not all(slot.worker and slot.worker.ready for slot in self._crew.slots):
            return
        self._announced = True
        count = len(self._crew.slots)
        library = next(one.library for one in self._crew.workers if one.ready)
        for line in banner.lines(self._config, self._crew.urls, library, count):
            _logger.info("%s", line)
        self._tell_ready()

    def _tell_ready(self) -> None:
        """Tell systemd that the server serves."""
        app, urls = banner.app_name(self._config), ", ".join(self._crew.urls)
        self._notifier.ready(f"Serving {app} on {urls} with {len(self._crew.slots)} worker(s)")

    def _tell_alive(self) -> None:
        """Give systemd a sign of life, if it is time for one."""
        now = time.monotonic()
        if self._notifier.interval is not None and now >= self._alive_at:
            self._notifier.alive()
            self._alive_at = now + self._notifier.interval


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Let the signal wake the loop."""


def _lost_with(one: Worker) -> str:
    """Return what a worker had when it was lost, in words; empty if that was nothing."""
    if one.last is None or not one.last.open:
        return ""
    return f"; it had {one.last.open} connection(s) open, and {one.last.active} request(s) at work"


def _describe(code: int) -> str:
    """Return how a process has ended, in words."""
    if code >= 0:
        return f"has ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
