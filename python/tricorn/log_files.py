"""Files and streams that logs are written to: reopened on demand, and never in the way of the server.

A log that cannot be written loses its lines; neither the server nor its standard error suffers for it.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import sys
import weakref
from pathlib import Path
from typing import TextIO

from tricorn.errors import StartupError

# Not O_TRUNC, so that nothing is lost at a restart; O_NONBLOCK, so that a pipe without a reader cannot hold us up.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_MODE = 0o644


class LogFile:
    """A file that lines are appended to.

    Args:
        path: Where it is; it is made if there is none.

    Attributes:
        fd: Its descriptor, whose number stays the same for good.

    Raises:
        StartupError: It cannot be opened.
    """

    def __init__(self, path: str) -> None:
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
        finally:
            os.close(fresh)

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

    Attributes:
        file: The file.
    """

    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self.file = file

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; a file that takes it not loses it."""
        try:
            line = self.format(record) + "\n"
            os.write(self.file.fd, line.encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # a full disk: there is nowhere to say so
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the file as well."""
        self.file.close()
        super().close()


class StreamHandler(logging.StreamHandler[TextIO]):
    """Writes records to a stream; one that takes no more, such as a pipe without a reader, loses them."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing of a stream that failed: a traceback for each line would help nobody."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


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
    """Return how much can be written to a pipe without being mixed with the lines of others."""
    return select.PIPE_BUF if stat.S_ISFIFO(os.fstat(fd).st_mode) else 0


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
