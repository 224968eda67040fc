"""The servers under the soak: started by the command, over TLS or not, and what the system tells of them."""

from __future__ import annotations

import math
import os
import signal
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from authority import self_signed
from bench.environments import ROOT
from command import Command
from crews import children
from harness import TIMEOUT, Client, until
from http2_client import Http2
from tls_client import IGNORE_UNEXPECTED_EOF

APPS = ROOT / "proof" / "apps"
VARIANTS = ("plain", "tls", "workers")
"""One process without TLS; one over TLS; two workers over TLS."""

START = 120.0
"""Seconds that a server may take to start: many do at once."""

HANGUPS = 4
"""Times that a server is told to change, as one that is too busy to start a worker in time stays as it was."""

WINDOW = 15.0
"""Seconds after a hang-up within which connections may be told to go elsewhere."""


class SecureSocket(ssl.SSLSocket):
    """A connection over TLS whose end is a reset where TLS does not tell of it."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return at most so many bytes."""
        try:
            return super().recv(buflen, flags)
        except ssl.SSLError as error:
            if "EOF" in str(error):
                raise ConnectionResetError(str(error)) from error
            raise


class Soaked(Command):
    """A server of a variant.

    Args:
        variant: One of ``VARIANTS``.
        library: The async library.
        directory: Where certificates and logs are written.
        environment: More environment variables.

    Attributes:
        secure: Whether it speaks TLS.
        workers: Whether it has workers.
        hangups: How many it has been sent.
    """

    def __init__(
        self, variant: str, library: str, directory: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.secure = variant != "plain"
        self.workers = variant == "workers"
        self.hangups = 0
        self._hung_up = -WINDOW
        self._directory = directory
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
        options = ["soaked:app", "--app-dir", str(APPS), "--async-library", library, "--port", "0", "--http2"]
        options += ["--no-access-log", "--lifespan", "off"]
        if self.secure:
            self._certificates = [self_signed(directory / name) for name in ("first", "second")]
            self._place(0)
            options += [
                "--ssl-certfile",
                str(directory / "cert.pem"),
                "--ssl-keyfile",
                str(directory / "key.pem"),
            ]
        if self.workers:
            options += ["--workers", "2"]
        path = os.pathsep.join([str(ROOT / "tests" / "asgi" / "apps"), os.environ.get("PYTHONPATH", "")])
        super().__init__(directory, *options, environment={"PYTHONPATH": path, **(environment or {})})
        try:
            until(lambda: self.urls() or self.process.poll() is not None, "the start", START)
            self.port = int(self.urls()[0].rpartition(":")[2])
        except BaseException:
            self.kill()
            raise

    def _place(self, number: int) -> None:
        """Have the files of the certificate and its key hold another one."""
        for source, name in zip(self._certificates[number], ("cert.pem", "key.pem"), strict=True):
            (self._directory / f"{name}.new").write_bytes(source.read_bytes())
            (self._directory / f"{name}.new").replace(self._directory / name)

    def context(self, *alpn: str, cached: bool = True) -> ssl.SSLContext:
        """Return what a client speaks that trusts the certificates of this server; one of its own unless ``cached``."""
        if cached and alpn in self._contexts:
            return self._contexts[alpn]
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for path, _ in self._certificates:
            made.load_verify_locations(path)
        made.options &= ~IGNORE_UNEXPECTED_EOF
        made.sslsocket_class = SecureSocket
        if alpn:
            made.set_alpn_protocols(list(alpn))
        if cached:
            self._contexts[alpn] = made
        return made

    def dial(self, room: int | None = None, *alpn: str) -> socket.socket:
        """Return the socket of a connection, over TLS where the server speaks it."""
        plain = self.dial_plain(room)
        return self.context(*alpn).wrap_socket(plain, server_hostname="localhost") if self.secure else plain

    def dial_plain(self, room: int | None = None) -> socket.socket:
        """Return the socket of a connection without TLS."""
        plain = socket.socket()
        plain.settimeout(TIMEOUT)
        if room is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        plain.connect(("127.0.0.1", self.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain

    def connect(self, room: int | None = None) -> Client:
        """Open a connection of HTTP/1.1."""
        return Client(self.dial(room))

    def connect_http2(self) -> Http2:
        """Open a connection of HTTP/2."""
        return Http2(self.dial(None, "h2"), scheme="https" if self.secure else "http")

    @property
    def changing(self) -> bool:
        """Whether the certificates have just changed, or are about to."""
        return time.monotonic() - self._hung_up < WINDOW

    @property
    def going(self) -> bool:
        """Whether workers are being replaced, or were just now."""
        return self.workers and self.changing

    def hang_up(self) -> None:
        """Replace the workers, or have certificates read again; see that another certificate is served then."""
        self.hangups += 1
        self._hung_up = math.inf  # until it has happened
        self._place(self.hangups % 2)
        wanted = ssl.PEM_cert_to_DER_cert((self._directory / "cert.pem").read_text())
        before = set(self.pids())

        def changed() -> bool:
            stay = before & set(self.pids()) if self.workers else set()
            return not stay and self._served() == wanted

        for n in range(HANGUPS):
            self.send_signal(signal.SIGHUP)
            try:
                until(changed, "the other certificate", 30)
                break
            except AssertionError:  # a worker that takes long to start is given up
                if n + 1 == HANGUPS:
                    raise
        self._hung_up = time.monotonic()

    def _served(self) -> bytes | None:
        with self.context().wrap_socket(self.dial_plain(), server_hostname="localhost") as connection:
            return connection.getpeercert(True)

    def pids(self) -> list[int]:
        """Return the processes that serve."""
        if not self.workers:
            return [self.process.pid]
        served = set()
        for pid in children(self.process.pid):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                    served.add(pid)
        return sorted(served)

    def facts(self, *, collect: bool = False) -> dict[str, Any]:
        """Ask one of the processes what it holds."""
        with self.connect() as client:
            fields = [("Connection", "close")]
            answer = client.ask("GET", "/facts?collect" if collect else "/facts", fields=fields)
            found: dict[str, Any] = answer.json()
            return found


def anonymous(pid: int) -> int:
    """Return what a process has in memory besides files, in bytes."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Anonymous:"))


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
