"""The attacker: many connections at once, each with bytes of its own, in one thread and bounded in number and time."""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

PIECE = 1 << 16
"""About how many bytes a flood hands over at once."""

OPENED = 500
"""Connections opened in a second at most, beyond the first ones, so that ports do not run out."""

AT_ONCE = 100
"""Connections opened between two looks at those that are there."""

BLOCKED = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True)
class Plan:
    """What an attack's clients do.

    Args:
        pieces: Makes what a connection sends, piece by piece; it then holds the connection until that is ended.
        connections: How many are open at once.
        every: Seconds between two pieces; 0 sends them as fast as they are taken.
        pause: Seconds between the first piece and the next, for what the server has to answer first.
        again: Whether a connection that was ended is replaced by a new one.
        reads: Whether the clients read what they are sent.
        leaves: Whether they leave with the first bytes of an answer.
        stays: Seconds after which each leaves.
        tls: Whether they finish a handshake of TLS first; each write is a record then.
    """

    pieces: Callable[[], Iterator[bytes]]
    connections: int
    every: float = 0.0
    pause: float = 0.0
    again: bool = False
    reads: bool = True
    leaves: bool = False
    stays: float = math.inf
    tls: bool = False


@dataclass
class Client:
    """A connection of the attacker's: what it has still to send, and when."""

    socket: socket.socket
    pieces: Iterator[bytes] | None
    leaves: float
    """When it leaves."""
    begun: bool = False
    """Whether its first piece was sent."""
    unsent: bytes = b""
    due: float = 0.0
    """When the next piece is sent; while the socket takes no more, that is when it does again."""


def secured(connection: socket.socket) -> ssl.SSLSocket:
    """Finish a handshake of TLS, whoever the server is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


@dataclass
class Assault:
    """An attack under way.

    Args:
        plan: What the clients do.
        port: Where the server listens, on loopback.
    """

    plan: Plan
    port: int
    opened: int = 0
    refused: int = 0
    """Connections that could not be opened."""
    ended: int = 0
    """Connections that the server has ended."""
    clients: dict[int, Client] = field(default_factory=dict)
    epoll: select.epoll = field(default_factory=select.epoll)

    def run(self, seconds: float) -> None:
        """Attack for so long, then leave."""
        began = time.monotonic()
        end = began + seconds
        try:
            while (now := time.monotonic()) < end:
                self._open(now - began)
                self._send_due(now)
                for number, events in self.epoll.poll(0.02):
                    self._react(number, events)
        finally:
            for number in list(self.clients):
                self._end(number)
            self.epoll.close()

    def _open(self, elapsed: float) -> None:
        """Open what is missing, some at a time."""
        plan = self.plan
        most = plan.connections + (int(OPENED * elapsed) if plan.again else 0)
        for _ in range(min(AT_ONCE, most - self.opened, plan.connections - len(self.clients))):
            self.opened += 1
            try:
                self._connect()
            except OSError:
                self.refused += 1

    def _connect(self) -> None:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        if not self.plan.reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.plan.tls:
            connection = secured(connection)
        connection.setblocking(False)
        self.clients[connection.fileno()] = Client(
            connection, self.plan.pieces(), time.monotonic() + self.plan.stays
        )
        self.epoll.register(connection.fileno(), self._wanted(False))

    def _wanted(self, blocked: bool) -> int:
        reading = select.EPOLLIN if self.plan.reads else 0
        return select.EPOLLRDHUP | reading | (select.EPOLLOUT if blocked else 0)

    def _react(self, number: int, events: int) -> None:
        if number not in self.clients:
            return
        if events & select.EPOLLIN and not self._read(number):
            return
        if events & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
            self._end(number, by_server=True)
        elif events & select.EPOLLOUT:
            self.epoll.modify(number, self._wanted(False))
            self._send(number, time.monotonic())

    def _read(self, number: int) -> bool:
        """Read what has come; tells whether the connection goes on."""
        try:
            data = self.clients[number].socket.recv(1 << 18)
        except BLOCKED:
            return True
        except OSError:
            data = b""
        if data and not self.plan.leaves:
            return True
        self._end(number, by_server=not data)
        return False

    def _send_due(self, now: float) -> None:
        for number in [number for number, client in self.clients.items() if client.leaves <= now]:
            self._end(number)
        for number in [number for number, client in self.clients.items() if client.due <= now]:
            self._send(number, now)

    def _send(self, number: int, now: float) -> None:
        """Send the next piece, and what is left of the one before."""
        client = self.clients[number]
        unsent = client.unsent or self._next(client)
        client.due = now + (self.plan.every if client.begun else self.plan.pause) if unsent else math.inf
        client.begun = True
        try:
            client.unsent = unsent[client.socket.send(unsent) :] if unsent else b""
        except BLOCKED:
            client.unsent = unsent
        except OSError:
            self._end(number, by_server=True)
            return
        if client.unsent:
            client.due = math.inf
            self.epoll.modify(number, self._wanted(True))

    def _next(self, client: Client) -> bytes:
        """Return what is sent next: a piece, or of a flood in clear text as many as are worth a call."""
        if client.pieces is None:
            return b""
        pieces, size = [], 0
        for piece in client.pieces:
            pieces.append(piece)
            size += len(piece)
            alone = self.plan.every or self.plan.tls or (self.plan.pause and not client.begun)
            if alone or size >= PIECE:
                return b"".join(pieces)
        client.pieces = None
        return b"".join(pieces)

    def _end(self, number: int, *, by_server: bool = False) -> None:
        """Close a connection, whatever the server makes of it."""
        self.ended += by_server
        client = self.clients.pop(number)
        with contextlib.suppress(OSError):
            self.epoll.unregister(number)
        client.socket.close()
