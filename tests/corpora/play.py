"""Plays bytes to a server over hundreds of connections at once, each in the pieces that it is given."""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import struct
import termios
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

AT_ONCE = 200
SECONDS = 10.0
NOTHING = b"\0\0\0\0"


@dataclass(frozen=True)
class Script:
    """What a client does: it sends pieces, each once the server has taken the one before, and reads to the end."""

    pieces: Sequence[bytes]
    half_close: bool = False
    """Whether it says after the last piece that nothing more comes."""


@dataclass(frozen=True)
class Address:
    """Where a server listens: on a Unix socket, which shows when a piece has been read, or on a port."""

    path: str = ""
    port: int = 0

    def connect(self) -> socket.socket:
        """Open a connection."""
        if self.path:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self.path)
        else:
            connection = socket.create_connection(("127.0.0.1", self.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(SECONDS)
        return connection


def play(address: Address, scripts: Iterable[Script]) -> Iterator[bytes]:
    """Play the scripts, many at once, and yield in order what the server answered to each before it closed."""
    waiting = iter(scripts)
    while batch := list(islice(waiting, AT_ONCE)):
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(address.connect()) for _ in batch]
            _send(connections, batch)
            yield from _read(connections)


def _send(connections: list[socket.socket], batch: list[Script]) -> None:
    for step in range(max(len(script.pieces) for script in batch)):
        sent = [
            connection
            for connection, script in zip(connections, batch, strict=True)
            if step < len(script.pieces) and _send_piece(connection, script.pieces[step])
        ]
        _wait_until_read(sent)
    for connection, script in zip(connections, batch, strict=True):
        if script.half_close:
            with contextlib.suppress(OSError):  # the server may have closed
                connection.shutdown(socket.SHUT_WR)


def _send_piece(connection: socket.socket, piece: bytes) -> bool:
    try:
        connection.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):  # it was refused before
        return False
    return True


def _wait_until_read(connections: list[socket.socket]) -> None:
    """Wait until the server has read all that was sent; on TCP a pause must do."""
    unread = [connection for connection in connections if connection.family == socket.AF_UNIX]
    if len(unread) < len(connections):
        time.sleep(0.002)
    deadline = time.monotonic() + SECONDS
    while unread := [connection for connection in unread if _unread(connection)]:
        assert time.monotonic() < deadline, f"{len(unread)} connections are not read"
        time.sleep(0.0001)


def _unread(connection: socket.socket) -> bool:
    return bool(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, NOTHING))[0])


def _read(connections: list[socket.socket]) -> list[bytes]:
    """Read each connection to its end; one that does not end in time is shown by ``<open>`` at the end."""
    answers = {connection.fileno(): bytearray() for connection in connections}
    order = list(answers)
    by_number = {connection.fileno(): connection for connection in connections}
    poll = select.poll()
    for number in order:
        poll.register(number, select.POLLIN)
    deadline = time.monotonic() + SECONDS
    while by_number:
        ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not ready:
            break
        for number, _ in ready:
            data = _receive(by_number[number])
            answers[number] += data
            if not data:
                poll.unregister(number)
                del by_number[number]
    for number in by_number:
        answers[number] += b"<open>"
    return [bytes(answers[number]) for number in order]


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 18)
    except ConnectionResetError:
        return b""
