"""What systemd and its service agree on: sockets that it passes, and notices of what the service does.

See sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3). Nothing of it does anything under another parent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from tricorn.errors import UsageError
from tricorn.option import check_bind

FIRST: Final = 3
"""The first descriptor that is passed."""

_LISTENING: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def sockets() -> list[str]:
    """Take the sockets that were passed to this process.

    The variables that tell of them are unset, so that no child takes them for its own.

    Returns:
        Them in the form of ``--bind``: ``fd://3``, with the properties that a socket's name
        (``FileDescriptorName=``) has after a comma.

    Raises:
        UsageError: A name has other properties than ``--bind`` knows.
    """
    pid, count, names = (os.environ.pop(name, "") for name in _LISTENING)
    if not pid.isdecimal() or int(pid) != os.getpid() or not count.isdecimal():
        return []
    labels = names.split(":")
    labels += [""] * (int(count) - len(labels))
    return [_bind(FIRST + number, labels[number]) for number in range(int(count))]


def _bind(fd: int, label: str) -> str:
    os.set_inheritable(fd, False)
    text = f"fd://{fd}{''.join(label.partition(',')[1:])}"
    try:
        check_bind(text)
    except ValueError as error:
        raise UsageError(
            f"the name {label!r} of a socket from systemd {error}", "change FileDescriptorName="
        ) from None
    return text


class Notifier:
    """Tells systemd what the service does; where nobody wants to know, its calls do nothing.

    Attributes:
        interval: Seconds between two signs of life; ``None`` when none are wanted of this process.
    """

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self.interval = self._interval()

    @staticmethod
    def _interval() -> float | None:
        limit, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
        wanted = not pid or pid == str(os.getpid())
        return int(limit) / 2_000_000 if wanted and limit.isdecimal() and int(limit) > 0 else None

    def send(self, *lines: str) -> None:
        """Send some lines; a systemd that does not listen is no reason to end."""
        if not self._address.startswith(("/", "@")):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto("\n".join(lines).encode(errors="replace"), address)

    def ready(self, status: str) -> None:
        """Say that the service serves; also after a reload.

        Args:
            status: What ``systemctl status`` shows.
        """
        self.send("READY=1", f"STATUS={' '.join(status.split())}", f"MAINPID={os.getpid()}")

    def reloading(self) -> None:
        """Say that the service begins to reload; :meth:`ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.send("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=Reloading")

    def stopping(self) -> None:
        """Say that the service stops."""
        self.send("STOPPING=1", "STATUS=Stopping: requests under way may end")

    def alive(self) -> None:
        """Give a sign of life."""
        self.send("WATCHDOG=1")

    async def beat(self, sleep: Callable[[float], Awaitable[object]]) -> None:
        """Give signs of life for ever, as a task of the library, so that a loop that hangs gives none.

        Args:
            sleep: The library's own.
        """
        while self._address and self.interval is not None:
            self.alive()
            await sleep(self.interval)
