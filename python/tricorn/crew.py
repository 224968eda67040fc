"""The worker processes of a supervisor: their slots, sockets and places on the board, and how each one is doing."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from tricorn import listening, spawning, tls, worker
from tricorn.board import SLOTS_MOST, Board, Cell
from tricorn.config import Config
from tricorn.importer import Application
from tricorn.listening import Listener
from tricorn.recycling import Bounds
from tricorn.spawning import Process, Task

_logger = logging.getLogger("tricorn.error")

ABORTED: Final = 1.0
"""Seconds that a worker which was told to abort has for its traceback."""
LONGEST_DELAY: Final = 30.0
"""Seconds after a crash until a worker is started again, at most."""
LIVED: Final = 10.0
"""A worker that crashes after so many seconds has worked: the next one is started at once."""


@dataclass(eq=False)
class Worker:
    """One worker process.

    Attributes:
        process: The process.
        slot: Where it serves.
        cell: Its place on the board.
        bounds: When it is to be replaced.
        born: When it was started, in seconds of the monotonic clock; so are the other times.
        ready: Whether it serves.
        ready_at: Since when.
        library: The async library that runs its application, once it is ready.
        stopping: Whether it was told to stop.
        kill_at: When it is ended at once; ``None`` is never.
        reason: Why it could not start, in its own words.
        last: What it had on the board when it ended; ``None`` before.
    """

    process: Process
    slot: Slot
    cell: int
    bounds: Bounds
    born: float
    ready: bool = False
    ready_at: float = 0.0
    library: str = ""
    stopping: bool = False
    kill_at: float | None = None
    reason: str = ""
    last: Cell | None = None

    @property
    def name(self) -> str:
        """How the log calls it."""
        return f"Worker {self.slot.number} (pid {self.process.pid})"

    def read(self) -> bool:
        """Take the messages that it has sent; returns whether there may be more of them."""
        while True:
            try:
                message = self.process.channel.recv(spawning.MESSAGE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not message:
                return False
            if message.startswith(spawning.READY):
                self.ready, self.ready_at = True, time.monotonic()
                self.library = message[len(spawning.READY) :].decode("ascii", "replace")
            if message.startswith(spawning.FAILED):
                self.reason = message[len(spawning.FAILED) :].decode("utf-8", "replace")

    def stop(self, patience: float | None) -> None:
        """Tell it to stop.

        Args:
            patience: Seconds until it is ended at once; ``None`` waits for it.
        """
        self._end(signal.SIGTERM, patience)

    def relieve(self, patience: float | None) -> None:
        """Tell it to stop while others serve on at the same addresses, so that no balancer has to leave first."""
        self.process.tell(spawning.RELIEVED)
        self.stop(patience)

    def hurry(self, patience: float | None) -> None:
        """Tell it to stop without waiting for what is at work."""
        self._end(signal.SIGQUIT, patience)

    def _end(self, number: int, patience: float | None) -> None:
        self.stopping = True
        self.process.kill(number)
        if patience is not None:
            self.kill_at = min(self.kill_at or math.inf, time.monotonic() + patience)

    def abort(self) -> None:
        """Have it print where it stands, and end it."""
        self.stopping = True
        self.process.kill(signal.SIGABRT)
        self.kill_at = time.monotonic() + ABORTED


@dataclass(eq=False)
class Slot:
    """A place for one worker at a time, with the sockets that pass from each to its successor.

    Attributes:
        index: Its number, from 0.
        listeners: Its sockets.
        worker: The one that serves, or is to.
        successor: The one that takes its place once it is ready.
        leaving: Those that were told to stop and have not ended.
        crashes: How often its workers have crashed soon after their start, one after another.
        start_at: When the next one is started; ``None`` when none is due.
        refusals: How many successors could not start, one after another.
        rests_until: When a further one is tried for a worker that has done enough.
    """

    index: int
    listeners: list[Listener]
    worker: Worker | None = None
    successor: Worker | None = None
    leaving: list[Worker] = field(default_factory=list)
    crashes: int = 0
    start_at: float | None = None
    refusals: int = 0
    rests_until: float = 0.0

    @property
    def number(self) -> int:
        """Its number in the log, from 1."""
        return self.index + 1

    @property
    def workers(self) -> list[Worker]:
        """All of its processes."""
        return [one for one in (self.worker, self.successor) if one is not None] + self.leaving

    @property
    def serves(self) -> bool:
        """Whether a worker accepts from its sockets."""
        return self.worker is not None and self.worker.ready and not self.worker.stopping

    def promote(self) -> Worker | None:
        """Let the successor take over; returns the one that it succeeds."""
        old, self.worker, self.successor = self.worker, self.successor, None
        self.refusals = 0
        if old is not None:
            self.leaving.append(old)
        return old

    def forget(self, gone: Worker) -> None:
        """Take out a worker that has ended."""
        if self.worker is gone:
            self.worker = None
        if self.successor is gone:
            self.successor = None
        if gone in self.leaving:
            self.leaving.remove(gone)

    def crashed(self, lived: float) -> float:
        """Set when the next worker starts, the later the more often they have crashed; returns the delay.

        Args:
            lived: Seconds that the last one has lived.
        """
        self.crashes = 0 if lived >= LIVED else self.crashes + 1
        delay = 0.0 if self.crashes < 2 else _delay(self.crashes - 2)
        self.start_at = time.monotonic() + delay
        return delay

    def refused(self) -> float:
        """Set when the next successor is tried, the later the more have failed; returns the delay."""
        self.refusals += 1
        delay = _delay(self.refusals)
        self.rests_until = time.monotonic() + delay
        return delay


def _delay(times: int) -> float:
    """Return the seconds until another try, after so many that have failed."""
    return min(LONGEST_DELAY, 0.5 * 2.0 ** min(times, 16))


class Cells:
    """The places on the board, each with the channel by which connections are handed over to its worker."""

    def __init__(self, count: int) -> None:
        self.board = Board.create(count)
        self._pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(count)]
        for pair in self._pairs:
            for end in pair:
                end.setblocking(False)
        self._free = list(range(count))

    @property
    def send(self) -> list[int]:
        """The descriptors that hand over, by cell."""
        return [pair[1].fileno() for pair in self._pairs]

    def receive(self, cell: int) -> int:
        """Return the descriptor that takes what is handed over to a cell."""
        return self._pairs[cell][0].fileno()

    def take(self) -> int | None:
        """Return a free cell, the one that was freed last; ``None`` when there is none."""
        return self._free.pop(0) if self._free else None

    def give_back(self, cell: int) -> None:
        """Free the cell of a worker that has ended."""
        self.board.clear(cell)
        self._free.insert(0, cell)

    def rescue(self, others: list[int]) -> None:
        """Hand what free cells were given, and nobody has taken, to the workers of other cells."""
        for cell in self._free if others else ():
            with suppress(OSError):
                while True:
                    data, fds, _, _ = socket.recv_fds(self._pairs[cell][0], spawning.MESSAGE, 1)
                    try:
                        socket.send_fds(self._pairs[others[0]][1], [data], fds)
                    finally:
                        for fd in fds:
                            os.close(fd)
                    others.append(others.pop(0))

    def fds(self) -> Iterator[int]:
        """Give every descriptor."""
        yield self.board.fd
        for ours, theirs in self._pairs:
            yield from (ours.fileno(), theirs.fileno())

    def close(self) -> None:
        """Close every descriptor."""
        self.board.close()
        for pair in self._pairs:
            for end in pair:
                end.close()


class Crew:
    """The workers of a server, and what they are started with.

    Args:
        config: The options.
        app: The application, where it was imported for all of them.

    Attributes:
        slots: The places of workers.
        on_start: Called with each that was started.
        private: Descriptors of the supervisor's that are not for a fork of it.
    """

    def __init__(self, config: Config, app: Application | None = None) -> None:
        self._config = config
        self._app = app
        self.slots: list[Slot] = []
        self._cells = Cells(min(SLOTS_MOST, 2 * config.workers + 32))
        self.on_start: Callable[[Worker], None] = lambda worker: None
        self.private: list[int] = []
        self._seed = tls.new_seed()

    @property
    def most(self) -> int:
        """How many slots there can be: each may have a successor."""
        return len(self._cells.send) // 2

    @property
    def urls(self) -> list[str]:
        """Where the server listens."""
        return [tls.shown(listener.url, self._config) for listener in self.slots[0].listeners]

    @property
    def workers(self) -> list[Worker]:
        """All processes."""
        return [one for slot in self.slots for one in slot.workers]

    def add(self) -> Slot:
        """Open the sockets of one more slot.

        Raises:
            StartupError: An address is not to be had.
        """
        if self.slots:
            first = self.slots[0].listeners
            own = self._config.worker_sockets == "own"
            listeners = [listening.twin(listener, self._config.backlog, own=own) for listener in first]
        else:
            listeners = listening.open_all(self._config, shared=self._config.worker_sockets == "own")
        self.slots.append(Slot(len(self.slots), listeners))
        return self.slots[-1]

    def drop(self, slot: Slot) -> None:
        """Close the sockets of the last slot."""
        self.slots.remove(slot)
        for listener in slot.listeners:
            os.close(listener.fd)

    def start(self, slot: Slot) -> Worker | None:
        """Start a worker in a slot; ``None`` if there is no room for it.

        Raises:
            OSError: No process can be started.
        """
        cell = self._cells.take()
        if cell is None:
            return None
        slot.start_at = None
        listeners = [replace(one, file=None) for one in slot.listeners]
        task = Task(
            self._config,
            listeners,
            cell,
            self._cells.board.fd,
            self._cells.receive(cell),
            self._cells.send,
            os.getpid(),
            self._seed,
        )
        try:
            process = self._process(task)
        except OSError:
            self._cells.give_back(cell)
            raise
        made = Worker(process, slot, cell, Bounds.draw(self._config), time.monotonic())
        self.on_start(made)
        return made

    def state(self, one: Worker) -> Cell:
        """Return what a worker has written on the board."""
        return self._cells.board.read(one.cell)

    def ended(self) -> list[tuple[Worker, int]]:
        """Take out the workers that have ended; returns each with its exit code."""
        gone = [(one, code) for one in self.workers if (code := one.process.poll()) is not None]
        for one, _ in gone:
            one.read()
            one.slot.forget(one)
            one.process.close()
            one.last = self.state(one)
            self._cells.give_back(one.cell)
        if gone:
            self._cells.rescue([one.cell for one in self.workers if one.ready and not one.stopping])
        return gone

    def kill_overdue(self) -> None:
        """End the workers whose time to stop is over."""
        now = time.monotonic()
        for one in self.workers:
            if one.kill_at is not None and now >= one.kill_at:
                _logger.error("%s has not ended in time: killing it", one.name)
                one.kill_at = None
                one.process.kill(signal.SIGKILL)

    def close(self) -> None:
        """Close the sockets and remove their files."""
        for slot in self.slots[1:]:
            for listener in slot.listeners:
                os.close(listener.fd)
        if self.slots:
            listening.close(self.slots[0].listeners)
        self._cells.close()

    def _process(self, task: Task) -> Process:
        if self._app is None:
            return spawning.spawn(task)
        ours = {listener.fd for slot in self.slots for listener in slot.listeners}
        channels = {one.process.channel.fileno() for one in self.workers}
        close = ours.union(channels, self._cells.fds(), self.private).difference(task.fds)
        app = self._app
        return spawning.fork(task, lambda task, channel: worker.serve(task, channel, app), close)
