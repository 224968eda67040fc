"""A client's connection over TLS in the place of a plain one, with what the tests do to sockets."""

from __future__ import annotations

import os
import re
import select
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from authority import self_signed
from tls_client import IGNORE_UNEXPECTED_EOF

WHOLE = 1 << 16


DIFFERENCES: dict[str, str] = {
    "the scheme is another": r"test_H3_scheme_is_http|test_W3_scope",
    "the extension of TLS is there": r"test_G9_extensions",
    "a handshake needs the server's answer, which the test has it not give": (
        r"in_the_kernel|out_of_descriptors|queued_in_the_kernel"
    ),
    "what it looks for is over before a handshake is": r"client_disappears.*(during_work|before_the_body_is_read)",
    "a hang-up has certificates read again": r"(exchanges_finish|cancels_what_is_at_work)\[\w+-1\]",
    "its many clients write to their sockets themselves": r"test_slow_(writers|readers)|slowhttptest|half_open_peers",
}
"""Tests that are not for TLS, by what they are about."""


def difference(test: str) -> str | None:
    """Return why a test is not run over TLS, ``None`` where it is."""
    return next((why for why, tests in DIFFERENCES.items() if re.search(tests, test)), None)


@cache
def certificate() -> tuple[Path, Path]:
    """Return a certificate for this machine and its key, made for this process."""
    directory = Path(tempfile.mkdtemp(prefix=f"tricorn-tls-{os.getpid()}-"))
    return self_signed(directory)


def options() -> list[str]:
    """Return the options that have a server speak TLS."""
    path, key = certificate()
    return ["--ssl-certfile", str(path), "--ssl-keyfile", str(key)]


@cache
def context() -> ssl.SSLContext:
    """Return what the clients speak."""
    made = ssl.create_default_context(cafile=str(certificate()[0]))
    made.options &= ~IGNORE_UNEXPECTED_EOF
    return made


class SecureSocket:
    """TLS on a socket, of which one side can end while the other goes on; one thread may send while another reads.

    Args:
        plain: The connected socket, whose timeout holds.
    """

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context().wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._held = b""
        self._unsent = b""
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        try:
            while not self._step(self._tls.do_handshake):
                self._flush()
                self._receive()
            self._flush()
        except ssl.SSLError as error:
            raise ConnectionResetError(str(error)) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def _step(self, do: Callable[[], object]) -> bool:
        """Do something of TLS; tell whether it needs nothing of the other side."""
        with self._lock:
            try:
                do()
            except ssl.SSLWantReadError:
                return False
        return True

    def _send_on(self) -> None:
        """Send what an earlier call has left, as far as it is taken, unless somebody sends now."""
        if not self._unsent or not self._sending.acquire(blocking=False):
            return
        try:
            with suppress(ConnectionError):  # which reading tells, too
                if select.select([], [self._plain], [], 0)[1]:
                    self._unsent = self._unsent[self._plain.send(self._unsent) :]
        finally:
            self._sending.release()

    def _receive(self) -> None:
        self._send_on()
        piece = self._plain.recv(WHOLE)
        with self._lock:
            if piece:
                self._incoming.write(piece)
            else:
                self._incoming.write_eof()

    def _flush(self) -> None:
        with self._lock:
            self._unsent += self._outgoing.read()
        while self._unsent:
            sent = self._plain.send(self._unsent)
            self._unsent = self._unsent[sent:]

    def _read(self) -> None:
        self._held = self._tls.read(WHOLE)

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``."""
        with self._sending:
            for at in range(0, len(data), WHOLE):
                self._step(partial(self._tls.write, data[at : at + WHOLE]))
                self._flush()

    def send(self, data: bytes) -> int:
        """Send a piece of ``data`` and tell how long it was; what is encrypted already goes before it."""
        with self._sending:
            self._flush()
            self._step(partial(self._tls.write, data[:WHOLE]))
            with suppress(TimeoutError, BlockingIOError):
                self._flush()
        return min(len(data), WHOLE)

    def recv(self, n: int, flags: int = 0) -> bytes:
        """Return at most ``n`` bytes; an end that TLS does not tell of is a reset."""
        try:
            while not self._held and not self._step(self._read):
                self._receive()
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            raise ConnectionResetError(str(error)) from error
        data = self._held[:n]
        if not flags & socket.MSG_PEEK:
            self._held = self._held[n:]
        return data

    def shutdown(self, how: int) -> None:
        """End our side by a word of TLS, and then by TCP."""
        with self._sending:
            with suppress(ssl.SSLError):  # what comes is not read here
                self._step(self._tls.unwrap)
            self._flush()
        with suppress(OSError):  # the other side has closed already
            self._plain.shutdown(how)
