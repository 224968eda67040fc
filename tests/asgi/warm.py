"""Servers that start as copies of a process in which all is imported that a server of their library imports.

To start an interpreter and to import takes most of what a short test costs. Each process that runs tests keeps
one such process for each library, which makes a fork of itself for each server. The fork becomes a child of the tests'
process, does what ``python -m tricorn`` does from the reading of its arguments on, and ends as an interpreter does.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

MESSAGE = 1 << 17
_PR_SET_CHILD_SUBREAPER = 36
_INHERITED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Signals that a test may have its servers ignore."""


class Forked:
    """A child of this process that another has forked: as much of ``subprocess.Popen`` as the tests use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._pidfd = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, for so many seconds at most, and return the exit code.

        Raises:
            subprocess.TimeoutExpired: The process still runs.
        """
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("tricorn", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process without asking."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is None:
            watch = select.poll()
            watch.register(self._pidfd, select.POLLIN)
            if watch.poll(None if seconds is None else max(seconds, 0) * 1000):
                self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                os.close(self._pidfd)
        return self.returncode


def start(
    library: str, arguments: Sequence[str], environment: dict[str, str], stdout: int, stderr: int, fd: int
) -> Forked:
    """Start a server.

    Args:
        library: The async library that is imported already.
        arguments: Those of the command; what stands behind ``--fd`` becomes the number that the descriptor has there.
        environment: The whole environment.
        stdout: Where standard output goes.
        stderr: Where standard error goes.
        fd: What the server inherits.
    """
    channel = _nursery(os.getpid(), sys.executable, library)
    request = {
        "arguments": list(arguments),
        "environment": environment,
        "cwd": str(Path.cwd()),
        "ignored": [number for number in _INHERITED if signal.getsignal(number) is signal.SIG_IGN],
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE),
    }
    _adopt(True)
    try:
        socket.send_fds(channel, [json.dumps(request).encode()], [stdout, stderr, fd])
        return Forked(int(channel.recv(MESSAGE)))
    finally:
        _adopt(False)


@cache
def _nursery(_pid: int, python: str, library: str) -> socket.socket:
    """Return the channel to the process that servers of a library are copies of; it ends with this one's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [python, __file__, library, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _adopt(yes: bool) -> None:
    """Have processes whose parent has ended become children of this one, or of the system's first as usual."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _serve(request: bytes, fds: Sequence[int]) -> NoReturn:
    """Do in a fork what the command does."""
    from tricorn.cli import main

    asked = json.loads(request)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["cwd"])
    for number in asked["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, tuple(asked["descriptors"]))
    for number, fd in enumerate(fds[:2], start=1):
        os.dup2(fd, number)
        os.close(fd)
    os.set_inheritable(fds[2], True)
    arguments = asked["arguments"]
    arguments[arguments.index("--fd") + 1] = str(fds[2])
    sys.path[0] = asked["cwd"]
    sys.argv = [sys.argv[0], *arguments]
    main(arguments, "python -m tricorn")


def _fork(channel: socket.socket) -> int:
    """Fork twice, so that the copy has no parent here; return its number, and 0 in it."""
    told, tell = os.pipe()
    between = os.fork()
    if between == 0:
        copy = os.fork()
        if copy:
            os.write(tell, str(copy).encode())
            os._exit(0)
        channel.close()
    else:
        os.waitpid(between, 0)
        copy = int(os.read(told, 32))
    os.close(told)
    os.close(tell)
    return copy


def _nurse(library: str, channel: socket.socket) -> None:
    """Import what servers import; then make a copy for each request, until the tests' process has ended."""
    from tricorn import cli, server
    from tricorn._backends import load

    del cli, server
    load(library)
    while True:
        request, fds, _, _ = socket.recv_fds(channel, MESSAGE, 3)
        if not request:
            return
        copy = _fork(channel)
        if copy == 0:
            _serve(request, fds)
        for fd in fds:
            os.close(fd)
        channel.send(str(copy).encode())


if __name__ == "__main__":
    _nurse(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
