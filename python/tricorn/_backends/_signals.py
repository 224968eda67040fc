"""Signals that wake a loop: one just before the loop waits, or to another thread, must not wait for an event."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_ROOM = 4096


@contextmanager
def signal_reader() -> Iterator[socket.socket | None]:
    """Give a socket that is readable when a signal has come whose handler is Python's; :func:`drain` empties it.

    The loop only has to wake for it: the interpreter then calls the handler. ``None`` where this is not the main
    thread, whose handlers they are, or where something else wakes it already.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        ours = writer.fileno()
        try:
            before = signal.set_wakeup_fd(ours, warn_on_full_buffer=False)
        except ValueError:
            yield None
            return
        if before != -1:
            signal.set_wakeup_fd(before)
            yield None
            return
        try:
            yield reader
        finally:
            now = signal.set_wakeup_fd(-1)
            if now not in (ours, -1):
                signal.set_wakeup_fd(now)  # somebody's who came later


def drain(reader: socket.socket) -> None:
    """Take in what signals have written."""
    with suppress(BlockingIOError):
        while reader.recv(_ROOM):
            continue
