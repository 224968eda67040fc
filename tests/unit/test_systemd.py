"""The sockets that systemd passes, and what it is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tricorn import systemd
from tricorn.errors import UsageError


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pass two descriptors to this process: those that are 3 and 4 here, whatever they are."""
    opened = [os.memfd_create("passed")]
    while len(opened) < 2 or opened[-1] != opened[-2] + 1:  # numbers between may be this process's own
        opened.append(os.dup(opened[0]))
    monkeypatch.setattr(systemd, "FIRST", opened[-2])
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    yield
    for fd in opened:
        os.close(fd)


def listening() -> list[str]:
    """Return the variables that are left."""
    return [name for name in os.environ if name.startswith("LISTEN_")]


def test_sockets_are_taken_once(passed: None) -> None:
    os.set_inheritable(systemd.FIRST, True)
    assert systemd.sockets() == [f"fd://{systemd.FIRST}", f"fd://{systemd.FIRST + 1}"]
    assert listening() == []
    assert not os.get_inheritable(systemd.FIRST)
    assert systemd.sockets() == []


def test_names_give_properties(passed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDNAMES", "web,proxy:tricorn.socket")
    assert systemd.sockets() == [f"fd://{systemd.FIRST},proxy", f"fd://{systemd.FIRST + 1}"]
    assert listening() == []


def test_a_name_with_an_unknown_property(passed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDNAMES", "web,what")
    with pytest.raises(
        UsageError, match=r"'web,what' .* must have proxy after the comma.*FileDescriptorName="
    ):
        systemd.sockets()


@pytest.mark.parametrize(
    ("pid", "count"), [("1", "1"), ("", "1"), ("x", "1"), (None, ""), (None, "x"), (None, "0")]
)
def test_those_of_others_are_not_ours(monkeypatch: pytest.MonkeyPatch, pid: str | None, count: str) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()) if pid is None else pid)
    monkeypatch.setenv("LISTEN_FDS", count)
    assert systemd.sockets() == []
    assert listening() == []


class Manager:
    """Receives notices as systemd does."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(5)

    def receive(self) -> list[str]:
        """Return the lines of the next notice."""
        return self.socket.recv(4096).decode().splitlines()


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Manager]:
    """A manager at the address that the environment has."""
    name = str(tmp_path / "notify")
    address = name if request.param == "path" else "\0tricorn-test-" + str(os.getpid())
    made = Manager(address)
    monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
    yield made
    made.socket.close()


def test_notices(manager: Manager) -> None:
    notifier = systemd.Notifier()
    notifier.ready("Serving\nmain:app")
    assert manager.receive() == ["READY=1", "STATUS=Serving main:app", f"MAINPID={os.getpid()}"]
    notifier.reloading()
    first, second, *_ = manager.receive()
    assert first == "RELOADING=1" and int(second.removeprefix("MONOTONIC_USEC=")) > 0
    notifier.stopping()
    assert manager.receive()[0] == "STOPPING=1"
    notifier.alive()
    assert manager.receive() == ["WATCHDOG=1"]


class Enough(Exception):
    """Ends the beats."""


def test_beats_come_at_half_the_time(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise Enough

    with pytest.raises(Enough):
        systemd.Notifier().beat(sleep).send(None)
    assert slept == [1.5, 1.5, 1.5]
    assert [manager.receive() for _ in slept] == [["WATCHDOG=1"]] * 3


@pytest.mark.parametrize(
    ("limit", "pid", "interval"),
    [
        ("1000000", "", 0.5),
        ("1000000", "me", 0.5),
        ("1000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_whose_watchdog_it_is(
    monkeypatch: pytest.MonkeyPatch, limit: str, pid: str, interval: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", limit)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "me" else pid)
    assert systemd.Notifier().interval == interval


@pytest.mark.parametrize("address", ["", "relative", "/no/such/socket", "@tricorn-nobody"])
def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """That is no error, and nothing is waited for."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    systemd.Notifier().ready("Serving")


def test_a_manager_that_reads_nothing_is_not_waited_for(manager: Manager) -> None:
    notifier = systemd.Notifier()
    for _ in range(2000):
        notifier.alive()
