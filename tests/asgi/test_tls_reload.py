"""Certificates that are replaced while the server runs."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import ssl
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from authority import Authority
from command import fails
from harness import APPS, TIMEOUT, Serve, Server, until
from tls_client import REQUEST, client, dial, exchange

from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_tls(), reason="TLS is not built in")

KEEP = REQUEST.replace(b"Connection: close\r\n", b"")
AGAIN = "The certificates and keys were read again"
STAY = "The certificates stay as they were read before"


class Files:
    """A server's certificate and key, which can be replaced."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory / "ca", "Tests")
        self.certificate, self.key = directory / "server.pem", directory / "server.key"
        self.swap()

    def swap(self) -> bytes:
        """Put a new certificate and key in the place of those before; return the certificate."""
        pair = self.authority.issue("localhost", "localhost")
        for new, old in zip(pair, (self.certificate, self.key), strict=True):
            put(old, new.read_bytes())
        return ssl.PEM_cert_to_DER_cert(pair[0].read_text())

    @property
    def options(self) -> tuple[str, ...]:
        """The options that name them."""
        return ("--ssl-certfile", str(self.certificate), "--ssl-keyfile", str(self.key))

    def shown(self, server: Server) -> bytes:
        """Return the certificate that a new connection is shown."""
        with dial(client(self.authority.certificate), server.port) as connection:
            return connection.getpeercert(binary_form=True) or b""


def put(path: Path, content: bytes) -> None:
    """Replace a file at once."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A certificate and a key of the test's own."""
    directory = tmp_path / "tls"
    directory.mkdir()
    return Files(directory)


@contextmanager
def load(files: Files, server: Server, *, stays: bool = True) -> Iterator[list[int]]:
    """Send requests on new connections, and on one that stays, as long as the context lasts; gives their number."""
    stop = threading.Event()
    failures: list[BaseException] = []
    answered = [0]
    context = client(files.authority.certificate)

    def renew() -> None:
        while not stop.is_set():
            with dial(context, server.port) as connection:
                assert exchange(connection).startswith(b"HTTP/1.1 200 ")
            answered[0] += 1

    def stay() -> None:
        with dial(context, server.port) as connection:
            while not stop.wait(0.02):
                connection.sendall(KEEP)
                got = b""
                while not got.endswith(b"}"):
                    piece = connection.recv(65536)
                    assert piece, "the connection was ended"
                    got += piece
                assert got.startswith(b"HTTP/1.1 200 ")
            connection.unwrap()

    def guarded(work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=guarded, args=(work,)) for work in (renew, renew, *([stay] if stays else []))
    ]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures


def test_certificate_is_swapped_under_load_with_no_failed_request(
    own: Serve, library: str, files: Files
) -> None:
    server = own("proxied:app", library, *files.options, "--ssl-reload")
    with load(files, server) as answered:
        for count in (1, 2):
            new = files.swap()
            until(lambda count=count: server.log().count(AGAIN) == count, "it is read")  # type: ignore[misc]
            assert files.shown(server) == new
        before = answered[0]
        until(lambda: answered[0] > before + 5, "requests go on")
    assert STAY not in server.log()


def test_faulty_files_are_told_and_the_old_ones_stay(own: Serve, library: str, files: Files) -> None:
    server = own("proxied:app", library, *files.options, "--ssl-reload")
    before = files.shown(server)
    good = files.certificate.read_bytes()
    put(files.certificate, b"nothing")
    until(lambda: f"{STAY}: TLS cannot be spoken: {files.certificate} holds no" in server.log(), "it is told")
    assert files.shown(server) == before
    files.certificate.unlink()
    until(lambda: "server.pem cannot be read: No such file" in server.log(), "it is told")
    assert files.shown(server) == before
    put(files.certificate, good)
    until(lambda: AGAIN in server.log(), "it is read")
    assert files.shown(server) == before
    assert server.log().count(STAY) == 2  # each is told once


def test_hangup_has_them_read_again(own: Serve, library: str, files: Files) -> None:
    """Once for each; the server goes on."""
    server = own("proxied:app", library, *files.options)
    with load(files, server):
        new = files.swap()
        server.send_signal(signal.SIGHUP)
        until(lambda: AGAIN in server.log(), "it is read")
        assert files.shown(server) == new
        put(files.key, b"nothing")
        server.send_signal(signal.SIGHUP)
        until(lambda: STAY in server.log(), "it is told")
        assert files.shown(server) == new
    assert server.stop() == 0


def test_hangup_of_the_terminal_stops_the_server(library: str, files: Files, tmp_path: Path) -> None:
    """Nobody could stop it from there any more."""
    ours, theirs = pty.openpty()
    log = tmp_path / "log"
    command = (sys.executable, "-m", "tricorn", "proxied:app", "--port", "0")
    with log.open("wb") as error:
        process = subprocess.Popen(
            [*command, "--async-library", library, *files.options],
            cwd=APPS,
            stdin=theirs,
            stdout=error,
            stderr=error,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
    try:
        os.close(theirs)
        until(lambda: "Tricorn running on https://" in log.read_text(), "it serves")
        process.send_signal(signal.SIGHUP)
        until(lambda: AGAIN in log.read_text(), "it goes on while there is a terminal")
        os.close(ours)
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()


def test_workers_are_replaced_by_such_as_have_read_them(own: Serve, library: str, files: Files) -> None:
    server = own("proxied:app", library, *files.options, "--workers", "2")
    assert "Tricorn running on https://" in server.log()
    with load(files, server, stays=False):
        new = files.swap()
        server.send_signal(signal.SIGHUP)
        until(lambda: server.log().count("has ended with exit code 0") == 2, "workers are replaced")
        assert {files.shown(server) for _ in range(8)} == {new}
        put(files.key, b"nothing")
        server.send_signal(signal.SIGHUP)
        until(lambda: "holds no private key" in server.log(), "it is told")
        until(lambda: "The worker before it goes on" in server.log(), "it is told")
        assert {files.shown(server) for _ in range(8)} == {new}


def test_workers_read_them_when_they_change(own: Serve, library: str, files: Files) -> None:
    server = own("proxied:app", library, *files.options, "--workers", "2", "--ssl-reload")
    with load(files, server):
        new = files.swap()
        until(lambda: server.log().count(AGAIN) == 2, "each has read them")
        assert {files.shown(server) for _ in range(8)} == {new}


def test_directory_may_get_further_ones(own: Serve, library: str, files: Files, tmp_path: Path) -> None:
    directory = tmp_path / "more"
    directory.mkdir()
    first, _ = add(files, directory, "a.example")
    server = own("proxied:app", library, *files.options, "--ssl-cert-dir", str(directory), "--ssl-reload")
    context = client(files.authority.certificate)
    with dial(context, server.port, "a.example") as connection:
        assert connection.getpeercert(binary_form=True) == first
    second, _ = add(files, directory, "b.example")
    until(lambda: AGAIN in server.log(), "it is read")
    with dial(context, server.port, "b.example") as connection:
        assert connection.getpeercert(binary_form=True) == second


def add(files: Files, directory: Path, host: str) -> tuple[bytes, Path]:
    """Put a certificate for a host into a directory."""
    certificate, key = files.authority.issue(host, host)
    shutil.copy(key, directory / f"{host}.key")
    shutil.copy(certificate, directory / f"{host}.crt")
    return ssl.PEM_cert_to_DER_cert(certificate.read_text()), directory


def test_supervisor_and_check_tell_of_faulty_files(files: Files) -> None:
    """In one line, before any worker is started."""
    put(files.key, b"nothing")
    usual = ("proxied:app", "--port", "0", *files.options)
    for more in (("--workers", "2"), ("--check-config",), ("--reload",)):
        lines = fails(*usual, *more, code=2)
        assert len(lines) == 1 and f"{files.key} holds no private key" in lines[0], lines
