"""A worker process: it serves with the sockets that its supervisor has opened, and ends with it.

What :mod:`tricorn.spawning` starts calls :func:`main`; a fork calls :func:`serve`.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tricorn import _core, importer, spawning
from tricorn.errors import StartupError, TricornError
from tricorn.importer import Application
from tricorn.server import Service, on_reopen, prepare
from tricorn.spawning import Task


def main(arguments: list[str]) -> int:
    """Serve what a supervisor says, and return the exit code.

    Args:
        arguments: The descriptors of the task and of the channel.
    """
    channel = socket.socket(fileno=int(arguments[1]))
    try:
        task = spawning.load(int(arguments[0]))
    except EOFError:
        return 0
    except StartupError as error:
        _tell(channel, spawning.FAILED + str(error).encode("utf-8", "replace"))
        return error.exit_code
    for fd in (*task.fds, channel.fileno()):
        os.set_inheritable(fd, False)
    sys.path[:] = task.path
    return serve(task, channel)


def serve(task: Task, channel: socket.socket, app: Application | None = None) -> int:
    """Serve until the supervisor says stop, or has ended.

    Args:
        task: What to serve, and where.
        channel: Our end of the sockets between worker and supervisor.
        app: The application, where it was imported before; else that of the options is.

    Returns:
        The exit code: that of the server, 3 when it could not start.
    """
    _signals()
    spawning.let_signals_in()
    if not _core.die_with_parent(signal.SIGTERM, task.supervisor):
        return 0
    try:
        if app is None:  # else logging is as its import has left it
            task.config.configure_logging()
        service = _service(task, channel, app)
        try:
            with service.signals((signal.SIGTERM,)), _quiet_end():
                return service.backend.run(service.main)
        finally:
            service.deadline.begin("threads of the application")
    except TricornError as error:
        _tell(channel, spawning.FAILED + str(error).encode("utf-8", "replace"))
        return error.exit_code


def _service(task: Task, channel: socket.socket, app: Application | None) -> Service:
    """Return the server, with its place among the workers."""
    with importer.in_worker():
        app, backend = prepare(task.config, app)
    service = Service(
        task.config,
        app,
        backend,
        owns_process=True,
        listeners=task.listeners,
        supervisor=task.supervisor,
        seed=task.seed,
    )
    service.core.report(task.board, task.cell)
    service.core.balance(task.receive, task.send)

    async def ready() -> None:
        _stay_with(task.supervisor)
        _tell(channel, spawning.READY + service.backend.name.encode())

    service.on_started = ready
    service.is_relieved = lambda: _is_told(channel, spawning.RELIEVED)
    return service


def _signals() -> None:
    """Have what a terminal sends to every process there be the supervisor's alone, and log files reopened."""
    for number in (signal.SIGTERM, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _ignore)  # a handler: what is ignored would be so in an application's children
    signal.signal(signal.SIGQUIT, _quit)
    signal.signal(signal.SIGUSR1, on_reopen)
    with suppress(RuntimeError, ValueError, OSError):  # standard error may be closed
        faulthandler.enable()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing."""


def _quit(number: int, _frame: FrameType | None) -> None:
    """End a process that does not serve yet, without the core file that the signal would leave."""
    os._exit(128 + number)


@contextmanager
def _quiet_end() -> Iterator[None]:
    """Heed no further request to stop at the end: the process is about to end by itself, and of its own accord."""
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGQUIT))


def _stay_with(supervisor: int) -> None:
    """Ask once more to be told of the supervisor's end: the kernel forgets when an application changes its user."""
    if not _core.die_with_parent(signal.SIGTERM, supervisor):
        os.kill(os.getpid(), signal.SIGTERM)


def _is_told(channel: socket.socket, message: bytes) -> bool:
    """Tell whether the supervisor has sent a message."""
    with suppress(OSError):
        return channel.recv(spawning.MESSAGE, socket.MSG_DONTWAIT) == message
    return False


def _tell(channel: socket.socket, message: bytes) -> None:
    """Send the supervisor a message; it may have gone."""
    with suppress(OSError):
        channel.send(message[: spawning.MESSAGE])
