"""Starting worker processes: new interpreters, or forks of one that has imported the application."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tricorn.config import Config
from tricorn.errors import StartupError
from tricorn.listening import Listener

READY = b"ready "
FAILED = b"failed "
HELD = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU)
"""Signals that would end a worker before it has set handlers, though they are no reason to."""
RELIEVED = b"relieved"
"""Said to a worker before the signal to stop: others serve on at the same addresses."""
MESSAGE = 4096
"""Bytes of a message between a worker and its supervisor at most."""


@dataclass(slots=True)
class Task:
    """What a worker process is told.

    Attributes:
        config: The options; the application by its name.
        listeners: Where it accepts.
        cell: Its place in the board and among the channels.
        board: The descriptor of the board.
        receive: The descriptor by which others hand over connections.
        send: The descriptors by which it hands them over, by cell.
        supervisor: The process that started it.
        seed: What the keys of session tickets are derived from.
        path: The supervisor's ``sys.path``.
    """

    config: Config
    listeners: list[Listener]
    cell: int
    board: int
    receive: int
    send: list[int]
    supervisor: int
    seed: bytes = b""
    path: list[str] = field(default_factory=lambda: list(sys.path))

    @property
    def fds(self) -> list[int]:
        """The descriptors that the worker inherits."""
        return [*(listener.fd for listener in self.listeners), self.board, self.receive, *self.send]


_ROOT = str(Path(__file__).resolve().parent.parent)
_BOOT = """import sys
root = sys.argv.pop(1)
sys.path[:] = [*([] if root in sys.path else [root]), *filter(None, sys.path)]
from tricorn import worker
sys.exit(worker.main(sys.argv[1:]))"""
"""What a worker's interpreter runs: it finds this package wherever it is, and no file of the current directory that has
the name of a module that it needs; after that it has its supervisor's path."""


class Process:
    """A child process: its identity, its end, and the channel to it.

    Args:
        pid: The process.
        channel: Our end of a pair of sockets, owned; it is readable at the worker's end, too.
        popen: What started it, unless it was forked.
    """

    def __init__(self, pid: int, channel: socket.socket, popen: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self.channel = channel
        self._popen = popen
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; ``None`` while it runs."""
        if self._code is None:
            self._code = self._popen.poll() if self._popen is not None else self._wait()
        return self._code

    def kill(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def tell(self, message: bytes) -> None:
        """Have a message lie ready for it, which it reads at its next signal."""
        with suppress(OSError):  # it has ended
            self.channel.send(message, socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Close the channel."""
        self.channel.close()

    def _wait(self) -> int | None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return 0  # somebody else has waited for it
        return os.waitstatus_to_exitcode(status) if pid else None


def spawn(task: Task) -> Process:
    """Start a new interpreter that serves.

    Raises:
        OSError: No process can be started.
    """
    told = pickle.dumps(task)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        given, giving = os.pipe()
        flags: Sequence[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        command = [sys.executable, *flags, "-c", _BOOT, _ROOT, str(given), str(theirs.fileno())]
        try:
            with _held(HELD):
                popen = subprocess.Popen(command, pass_fds=[given, theirs.fileno(), *task.fds])
        except BaseException:
            os.close(giving)
            ours.close()
            raise
        finally:
            os.close(given)
    with suppress(BrokenPipeError), os.fdopen(giving, "wb") as pipe:
        pipe.write(told)
    return Process(popen.pid, ours, popen)


def fork(task: Task, serve: Callable[[Task, socket.socket], int], close: Iterable[int]) -> Process:
    """Start a copy of this process that serves.

    Args:
        task: What it is told.
        serve: What it runs; returns the exit code.
        close: The descriptors of this process that are not for it.

    Raises:
        OSError: No process can be started.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        for stream in (sys.stdout, sys.stderr):  # what is in their buffers is to be written once
            with suppress(Exception):
                stream.flush()
        with _held((*HELD, signal.SIGTERM)):
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                raise
            if pid == 0:
                ours.close()
                _child(task, theirs, serve, close)
    return Process(pid, ours, None)


@contextmanager
def _held(numbers: Iterable[int]) -> Iterator[None]:
    """Hold signals back from a process that is started meanwhile, until it has handlers for them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_signals_in() -> None:
    """Take the signals that were held back while this process was started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*HELD, signal.SIGTERM))


def freeze() -> None:
    """Keep the collector off all that this process holds, so that forks go on sharing it."""
    gc.collect()
    gc.freeze()


def load(pipe: int) -> Task:
    """Read the task that :func:`spawn` has written.

    Raises:
        EOFError: The supervisor has ended meanwhile.
        StartupError: An option is of a module that is not to be had here.
    """
    with os.fdopen(pipe, "rb") as file:
        told = file.read()
    try:
        task: Task = pickle.loads(told)
    except (AttributeError, ImportError) as error:
        raise StartupError(
            f"an option cannot be had in a worker process: {error}",
            "define it in a module of its own, and not in the script that is run",
        ) from None
    return task


def _child(
    task: Task, channel: socket.socket, serve: Callable[[Task, socket.socket], int], close: Iterable[int]
) -> NoReturn:
    """Serve in a forked process, and end it without what the supervisor would do at its own end."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for fd in close:
            os.close(fd)
        code = serve(task, channel)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
