"""Files and streams that logs are written to: reopened on demand, and never in the way of the server.

A log that cannot be written loses its lines; neither the server nor its standard error suffers for it.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import stat
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

from tricorn.errors import StartupError

# Not O_TRUNC, so that nothing is lost at a restart; O_NONBLOCK, so that a pipe without a reader cannot hold us up.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_MODE = 0o644

WAIT: Final = 0.5
"""Seconds that a message waits for a stream whose reader is slow."""


class LogFile:
    """A file that lines are appended to.

    Args:
        path: Where it is; it is made if there is none.

    Attributes:
        fd: Its descriptor, whose number stays the same for good.
        within: Whether a line was begun that could not be ended.

    Raises:
        StartupError: It cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.within = False
        self.path = Path(path).absolute()  # an application may change the directory
        try:
            self.fd = os.open(self.path, _FLAGS, _MODE)
        except OSError as error:
            raise StartupError(
                f"cannot open the log file {path}: {error.strerror}", "give a path that can be written"
            ) from None
        _open.add(self)

    def reopen(self) -> None:
        """Open the path anew, in the place of what was open: a file that was renamed is let go.

        It is one system call that changes over, so this can be called at any time, in a signal handler too.

        Raises:
            OSError: The path cannot be opened; lines still go to the file that was open.
        """
        fresh = os.open(self.path, _FLAGS, _MODE)
        try:
            os.dup2(fresh, self.fd, inheritable=False)
            self.within = False
        finally:
            os.close(fresh)

    def append(self, data: bytes) -> None:
        """Append one or more whole lines, by one write unless the disk fills up; what it took not is lost.

        Raises:
            OSError: Not all of it could be written.
        """
        rest = memoryview(b"\n" + data if self.within else data)
        while rest:
            took = os.write(self.fd, rest)
            self.within = _ends_within(rest, took)
            rest = rest[took:]

    def close(self) -> None:
        """Close it; once it is closed, this does nothing."""
        if self in _open:
            _open.discard(self)
            os.close(self.fd)


_open: weakref.WeakSet[LogFile] = weakref.WeakSet()


def reopen() -> list[str]:
    """Reopen every log file of this process, for a rotation; what fails is returned, a sentence each."""
    problems = []
    for file in list(_open):
        try:
            file.reopen()
        except OSError as error:
            problems.append(f"Cannot reopen the log file {file.path}: {error.strerror}")
    return problems


class FileHandler(logging.Handler):
    """Appends records to a file, each by one write.

    A file that takes none, as on a full disk, loses them; how many they were is said once it takes some again.

    Attributes:
        file: The file.
    """

    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self.file = file
        self._lost, self._why = 0, ""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            text = self.format(record)
            if self._lost:
                self._append(self.format(_of_lost(record, self._lost, self._why)))
                self._lost = 0
            self._append(text)
        except OSError as error:  # there is nowhere to say so now
            self._lost += 1
            self._why = error.strerror or "it cannot be written"
        except Exception:
            self.handleError(record)

    def _append(self, text: str) -> None:
        self.file.append(f"{text}\n".encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """Close the file as well."""
        self.file.close()
        super().close()


def _of_lost(record: logging.LogRecord, lost: int, why: str) -> logging.LogRecord:
    """Return a record that says how many were lost before another one."""
    problem = "%d message(s) were lost: %s"
    return logging.LogRecord(record.name, logging.WARNING, "", 0, problem, (lost, why), None)


def _ends_within(data: memoryview, took: int) -> bool:
    """Tell whether a write that took so many bytes has ended within a line."""
    return took > 0 and data[took - 1] != ord("\n")


class StreamHandler(logging.StreamHandler[TextIO]):
    """Writes records to a stream; one that takes no more, such as a pipe without a reader, loses them.

    A pipe, a terminal or a socket that nobody reads for :data:`WAIT` seconds loses them until it takes some again;
    how many it were is said then, as with a file whose disk is full. So who keeps the log's reader from reading does
    not stop the server.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._outlet = _outlet(stream)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        if self._outlet is None:
            super().emit(record)
            return
        try:
            if self._outlet.is_file:
                self._flush_others()
            text = self.format(record)
            if self._outlet.lost:
                self._write(self._outlet, self.format(_of_lost(record, self._outlet.lost, self._outlet.why)))
            self._write(self._outlet, text)
        except OSError:
            pass  # there is nowhere to say so
        except Exception:
            self.handleError(record)

    def _write(self, outlet: _Outlet, text: str) -> None:
        outlet.write(f"{text}{self.terminator}".encode("utf-8", "backslashreplace"))

    def _flush_others(self) -> None:
        """Have what the application has written to the stream come first; a file keeps nobody waiting."""
        with suppress(OSError):
            self.flush()

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing of a stream that failed: a traceback for each line would help nobody."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close what was opened here; the stream stays open."""
        outlet, self._outlet = self._outlet, None
        if outlet is not None:
            outlet.close()
        super().close()


class _Outlet:
    """A descriptor whose reader may be slow, or whose disk full.

    Args:
        fd: The descriptor, one of our own but for a file's, which follows its stream when that is redirected; a write
            to it never waits.
        mode: What it is; of a socket each call has to say that it does not wait.

    Attributes:
        is_file: Whether it is that of a file.
        lost: Writes that failed since the last that did not.
        why: What was wrong with the last of them.
    """

    def __init__(self, fd: int, mode: int) -> None:
        self._fd = fd
        self._socket = socket.socket(fileno=fd) if stat.S_ISSOCK(mode) else None
        self.is_file = stat.S_ISREG(mode)
        self._within = False  # a line
        self.lost, self.why = 0, ""

    def write(self, data: bytes) -> None:
        """Write, and wait for the reader a little; not at all as long as the last write has waited in vain.

        Raises:
            OSError: Not all of it could be written.
        """
        until = time.monotonic() + (0 if self.lost else WAIT)
        rest = memoryview(b"\n" + data if self._within else data)
        try:
            while rest:
                took = self._write_some(rest, until)
                self._within = _ends_within(rest, took)
                rest = rest[took:]
        except OSError as error:
            self.lost += 1
            slow = isinstance(error, BlockingIOError)
            self.why = "nobody read them" if slow else error.strerror or "they cannot be written"
            raise
        self.lost = 0

    def _write_some(self, data: memoryview, until: float) -> int:
        while True:
            try:
                if self._socket is None:
                    return os.write(self._fd, data)
                return self._socket.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                left = until - time.monotonic()
                if left <= 0 or not poll.poll(left * 1000):
                    raise

    def close(self) -> None:
        """Close the descriptor if it is ours, once."""
        if self._socket is not None:
            self._socket.close()
        elif not self.is_file:
            os.close(self._fd)


def _outlet(stream: TextIO) -> _Outlet | None:
    """Return a way to write to a stream that may be slow, or full; ``None`` for any other, such as one in memory."""
    try:
        stream.flush()
        fd = stream.fileno()
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode):
            return _Outlet(fd, mode)
        if stat.S_ISSOCK(mode):
            return _Outlet(os.dup(fd), mode)
        own = _unblocked(fd)
    except (OSError, ValueError, AttributeError):
        return None
    return None if own < 0 else _Outlet(own, mode)


def descriptor(handler: logging.Handler) -> tuple[int, int, bool]:
    """Return where a handler of this module writes, for the core to write there itself.

    Returns:
        The descriptor, -1 if it has none; the most bytes of a write, 0 for any number; and whether the descriptor
        is to be closed by the caller.
    """
    if isinstance(handler, FileHandler):
        return handler.file.fd, _piece(handler.file.fd), False
    try:
        handler.stream.flush()  # type: ignore[attr-defined]
        fd: int = handler.stream.fileno()  # type: ignore[attr-defined]
        piece = _piece(fd)
    except (OSError, ValueError, AttributeError):
        return -1, 0, False
    own = _unblocked(fd)
    return (fd if own < 0 else own), piece, own >= 0


def _piece(fd: int) -> int:
    """Return how much can be written to a pipe or a socket without being mixed with the lines of others."""
    mode = os.fstat(fd).st_mode
    return select.PIPE_BUF if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else 0


def _unblocked(fd: int) -> int:
    """Open a pipe or terminal once more so that writing to it never waits; -1 for anything else.

    The flag is set on a description of our own, as others may have the inherited one.
    """
    if not stat.S_ISFIFO(os.fstat(fd).st_mode) and not os.isatty(fd):
        return -1
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        return -1


def let_streams_go() -> None:
    """Before the process ends: what standard streams hold that nobody takes is given up, without an error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            _point_to_nothing(stream)


def _point_to_nothing(stream: TextIO) -> None:
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
    except (OSError, ValueError):
        pass
