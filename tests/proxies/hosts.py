"""Hosts of a test's own: network namespaces, each with a link to one in the middle."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _enter(path: Path) -> None:
    """Have this thread, and what it starts, be in a network namespace."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(fd, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {path}")
    finally:
        os.close(fd)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)


class Hosts:
    """Some hosts, and one in the middle that is linked with each.

    Args:
        count: How many there are.

    Attributes:
        middle: The name of the one in the middle.
        names: Those of the others.
    """

    def __init__(self, count: int) -> None:
        prefix = f"tricorn-{os.getpid()}"
        self.middle = f"{prefix}-m"
        self.names = [f"{prefix}-{n}" for n in range(count)]
        self._made: list[str] = []

    def make(self) -> None:
        """Make them; the test is skipped where that is not allowed."""
        try:
            done = subprocess.run(["ip", "netns", "add", self.middle], capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no command ip, which makes network namespaces (Debian: iproute2)")
        if done.returncode != 0:
            pytest.skip(f"network namespaces cannot be made here: {done.stderr.strip()}")
        self._made.append(self.middle)
        _ip("-n", self.middle, "link", "set", "lo", "up")
        for n, name in enumerate(self.names):
            _ip("netns", "add", name)
            self._made.append(name)
            ends = (f"m{n}", f"h{n}")
            _ip(
                "-n",
                self.middle,
                "link",
                "add",
                ends[0],
                "type",
                "veth",
                "peer",
                "name",
                ends[1],
                "netns",
                name,
            )
            for at, end, address in (
                (self.middle, ends[0], self.gateway(n)),
                (name, ends[1], self.address(n)),
            ):
                _ip("-n", at, "address", "add", f"{address}/24", "dev", end)
                _ip("-n", at, "link", "set", end, "up")

    def address(self, n: int) -> str:
        """Return the address of a host."""
        return f"10.99.{n}.2"

    def gateway(self, n: int) -> str:
        """Return the address of the one in the middle, as a host sees it."""
        return f"10.99.{n}.1"

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        """What is started while the context lasts, is on that host: processes, threads and sockets."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(Path("/run/netns") / name)
            try:
                yield
            finally:
                _enter(Path(f"/proc/self/fd/{home}"))
        finally:
            os.close(home)

    def remove(self) -> None:
        """Remove them; the last process on each has ended."""
        for name in self._made:
            _ip("netns", "delete", name)
