"""The board: shared memory in which the core of each worker says how it is, for the supervisor to read.

A worker's reactor writes its cell at every turn and at least every 250 ms while the library's loop runs, without a
lock and from no other thread. So a cell that grows old tells that the loop is stuck.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from dataclasses import dataclass
from typing import Final

SLOTS_MOST: Final = 1024
_LAYOUT: Final = struct.Struct("@QQIIIII28x")
_READY: Final = 1
_STOPPING: Final = 2


@dataclass(frozen=True)
class Cell:
    """What a worker said of itself last.

    Attributes:
        age: Seconds since its last turn; infinite when it has had none.
        exchanges: Requests begun since its start.
        open: Connections.
        active: Requests that its application works on.
        lag: How late its loop was lately, in seconds: a peak that decays over five seconds.
        ready: Whether it takes new connections.
        stopping: Whether it was told to stop.
        pid: The process, 0 before it has attached.
    """

    age: float
    exchanges: int
    open: int
    active: int
    lag: float
    ready: bool
    stopping: bool
    pid: int


class Board:
    """A cell for each worker's slot.

    Args:
        fd: A descriptor that holds the board; it is the object's own from now on.
        slots: How many cells it has.

    Attributes:
        fd: What workers inherit, and give to ``core.report(fd, slot)``.
        slots: How many cells it has.
    """

    def __init__(self, fd: int, slots: int) -> None:
        self.fd = fd
        self.slots = slots
        self._memory = mmap.mmap(fd, slots * _LAYOUT.size)

    @classmethod
    def create(cls, slots: int) -> Board:
        """Make a board of so many slots, 1 to 1024, all clear.

        Raises:
            ValueError: The number of slots is out of range.
            OSError: The system has no memory or descriptor for it.
        """
        if not 1 <= slots <= SLOTS_MOST:
            raise ValueError(f"a board has 1 to {SLOTS_MOST} slots, not {slots}")
        fd = os.memfd_create("tricorn-board", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, slots * _LAYOUT.size)
            # No worker can take memory from under the others.
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            return cls(fd, slots)
        except BaseException:
            os.close(fd)
            raise

    def read(self, slot: int) -> Cell:
        """Return what the worker in ``slot`` said last. Each value is whole; together they may be of two turns."""
        beat, exchanges, open_, active, lag, flags, pid = _LAYOUT.unpack_from(self._memory, self._at(slot))
        age = (time.clock_gettime_ns(time.CLOCK_MONOTONIC) - beat) / 1e9 if beat else float("inf")
        ready, stopping = bool(flags & _READY), bool(flags & _STOPPING)
        return Cell(max(age, 0.0), exchanges, open_, active, lag / 1000, ready, stopping, pid)

    def clear(self, slot: int) -> None:
        """Forget what was said of a slot: its worker is gone, or not begun."""
        self._memory[self._at(slot) : self._at(slot) + _LAYOUT.size] = bytes(_LAYOUT.size)

    def close(self) -> None:
        """Give the memory and the descriptor back; workers keep theirs."""
        self._memory.close()
        os.close(self.fd)

    def _at(self, slot: int) -> int:
        if not 0 <= slot < self.slots:
            raise IndexError(f"the board has no slot {slot}")
        return slot * _LAYOUT.size
