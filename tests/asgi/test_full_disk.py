"""Logs on a disk that is full: requests are answered, no line is torn, and what was lost is said once there is room."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from harness import Client, Serve, Server, until

APP = "stops:app"
ROOM = 256
"""KiB of the disk."""
LOST = re.compile(r"(\d+) message\(s\) were lost: No space left on device")
LOST_LINES = re.compile(r"(\d+) line\(s\) of the access log were lost: No space left on device")


class Disk:
    """A small file system of its own.

    Args:
        path: Where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leave no room but what is left of the files' last pages."""
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def clear(self) -> None:
        """Have room again."""
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that can be filled."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}k", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def ask_many(server: Server, numbers: range, room: int = 0) -> None:
    """Ask once for each number, with a target that is so much longer; all are answered."""
    with server.connect() as client:
        for number in numbers:
            assert client.ask(target=f"/plain?n={number}.{'x' * room}").status == 200


def be_refused(server: Server, times: int) -> None:
    """Send what the server refuses, which is worth a message each time."""
    for _ in range(times):
        with server.connect() as client:
            client.send(b"\0\r\n\r\n")
            assert client.answer().status == 400


def started(server: Server, log: Path) -> Server:
    """Wait until a server has started whose messages go to a file."""
    until(lambda: log.exists() and "Tricorn running" in log.read_text(), "the start")
    return server


def test_both_logs_go_on_when_there_is_room(own: Serve, library: str, disk: Disk) -> None:
    """The access log's lines have waited; of the messages it is said how many were lost."""
    access, error = disk.path / "access", disk.path / "error"
    options = ("--access-log-file", str(access), "--log-file", str(error), "--access-log-format", "%(r)s")
    server = started(own(APP, library, *options, ready=False), error)
    ask_many(server, range(5))
    disk.fill()
    ask_many(server, range(5, 300), 60)
    be_refused(server, 60)
    disk.clear()
    be_refused(server, 1)
    ask_many(server, range(300, 305))
    assert server.stop() == 0
    asked = [line for line in access.read_text().splitlines() if line.startswith("GET /plain?n=")]
    assert [int(line[13:].partition(".")[0].split()[0]) for line in asked] == list(range(305))
    assert all(line.endswith(" HTTP/1.1") for line in asked)
    text = error.read_text()
    lost = [int(count) for count in LOST.findall(text)]
    whole = re.findall(r"Refused a request from 127\.0\.0\.1:\d+ with 400: .+", text)
    assert len(lost) == 1 and 0 < lost[0] <= 60
    assert 61 <= lost[0] + len(whole) <= 62  # the one that was cut short may look whole
    assert "Shutting down" in text


def test_lines_beyond_what_may_wait_are_counted(own: Serve, library: str, disk: Disk) -> None:
    """The message goes to where there is room, and not again and again."""
    access = disk.path / "access"
    server = own(APP, library, "--access-log-file", str(access), "--access-log-format", "%(r)s")
    disk.fill()
    ask_many(server, range(220), 7000)
    assert len(LOST_LINES.findall(server.log())) == 1
    disk.clear()
    server.stop()
    lost = sum(int(count) for count in LOST_LINES.findall(server.log()))
    lines = access.read_text().splitlines()
    assert lost > 0 and len(LOST_LINES.findall(server.log())) == 2  # and once more at the end, for the rest
    assert len(lines) + lost >= 220


def test_rotation_on_a_full_disk(own: Serve, library: str, disk: Disk, tmp_path: Path) -> None:
    """What has waited goes to the new file, which may be elsewhere."""
    access = tmp_path / "access"
    access.symlink_to(disk.path / "access")
    server = own(APP, library, "--access-log-file", str(access), "--access-log-format", "%(r)s")
    ask_many(server, range(3))
    until(lambda: access.exists() and "n=2" in access.read_text(), "the lines")
    disk.fill()
    ask_many(server, range(3, 200), 60)
    access.unlink()
    server.send_signal(signal.SIGUSR1)
    until(lambda: access.exists() and "n=199" in access.read_text(), "the lines in the new file")
    assert server.stop() == 0
    text = (disk.path / "access").read_text() + access.read_text()
    numbers = [int(number) for number in re.findall(r"n=(\d+)\.x* HTTP/1\.1\n", text)]
    assert numbers == list(range(200))


class Redirected(Server):
    """A server whose standard output and error go to the same descriptor.

    Args:
        library: The async library.
        directory: Where other files may be made.
        fd: The descriptor.
    """

    def __init__(self, library: str, directory: Path, fd: int) -> None:
        self._fd = fd
        self._own = Path(f"/proc/self/fd/{fd}")
        super().__init__(APP, library, directory)

    def _start(
        self, arguments: list[str], environment: dict[str, str], inherited: Sequence[int] = ()
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tricorn", *arguments],
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
            stdout=self._fd,
            stderr=self._fd,
            env={**os.environ, **environment},
        )

    def log(self) -> str:
        """Return all that it has written."""
        return self._own.read_text(errors="replace")

    access = log


def test_streams_on_a_full_disk(library: str, disk: Disk, tmp_path: Path) -> None:
    """As ``> log 2>&1`` on such a disk: messages that come when there is room are whole."""
    output = disk.path / "output"
    with output.open("ab") as file:
        server = Redirected(library, tmp_path, file.fileno())
        try:
            server.wait_ready()
            disk.fill()
            be_refused(server, 60)
            ask_many(server, range(100))
            disk.clear()
            be_refused(server, 3)
            with Client(server.dial()) as client:
                assert client.ask(target="/plain?n=last").status == 200
            assert server.stop() == 0
        finally:
            server.kill()
    text = output.read_text()
    lost = [int(count) for count in LOST.findall(text)]
    whole = re.findall(r"^WARNING:  Refused a request from 127\.0\.0\.1:\d+ with 400: .+", text, re.MULTILINE)
    assert len(lost) == 1 and 63 <= lost[0] + len(whole) <= 64
    assert "n=last HTTP/1.1" in text and text.count(" HTTP/1.1") == 101
    assert "Shutting down" in text
