"""A server in a process of its own, on a socket that it inherits, and what it wrote to its log."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from authority import self_signed

APPS = Path(__file__).parent / "apps"

STACKS = {
    "bare": ("asyncio", "uvloop", "trio", "curio"),
    "starlette": ("asyncio", "uvloop", "trio"),
    "fastapi": ("asyncio", "uvloop", "trio"),
    "litestar": ("asyncio", "uvloop", "trio"),
    "quart": ("asyncio", "uvloop"),
    "quart_trio": ("trio",),
    "django": ("asyncio", "uvloop"),
}
"""Which framework runs on which libraries."""

TIMEOUT = 20.0
_CHAINED = re.compile(r"^(?:During handling of|The above exception was) .*:\n\n\Z", flags=re.MULTILINE)
_tokens = itertools.count(1)


def until(condition: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    """Wait until a condition holds; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


@dataclass(frozen=True)
class Identity:
    """A certificate for this machine that signs itself, and its key."""

    certificate: Path
    key: Path

    def options(self) -> tuple[str, ...]:
        """Return what a server is to be told."""
        return ("--ssl-certfile", os.fspath(self.certificate), "--ssl-keyfile", os.fspath(self.key))


def make_identity(directory: Path) -> Identity:
    """Write a certificate for ``127.0.0.1`` and ``localhost`` into a directory."""
    return Identity(*self_signed(directory))


class Site:
    """An application under a server, which answers once the context is entered.

    Args:
        app: The application, as ``module:attribute``.
        library: The async library that runs it.
        app_dir: The directory of the module.
        directory: Where the log is written.
        options: More options of the server.
        identity: The certificate of a server that speaks TLS.
        http2: Whether the clients that the site makes speak HTTP/2, and nothing else.
    """

    def __init__(
        self,
        app: str,
        library: str,
        app_dir: Path,
        directory: Path,
        *options: str,
        identity: Identity | None = None,
        http2: bool = False,
    ) -> None:
        self.app = app
        self.library = library
        self.expected_errors = 0
        self.http2 = http2
        self.identity = identity
        self._app_dir = app_dir
        self._log = directory / "error.log"
        self._access_log = directory / "access.log"
        self._options = (*options, *(identity.options() if identity else ()))
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Site:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(128)
            self.port: int = listener.getsockname()[1]
            self.url = f"{'https' if self.identity else 'http'}://127.0.0.1:{self.port}"
            self._start(listener.fileno())
        # From here on the server alone holds the socket: if it dies, connections are refused.
        self.client = self.new_client()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def trust(self) -> ssl.SSLContext | None:
        """Return what a client speaks that trusts this server alone; None without TLS."""
        return ssl.create_default_context(cafile=self.identity.certificate) if self.identity else None

    def new_client(self, timeout: float = TIMEOUT, **more: Any) -> httpx.Client:
        """Return a client of its own connections.

        Args:
            timeout: How long it waits for the server, in seconds.
            more: What else the client is told.
        """
        versions = {"http1": not self.http2, "http2": self.http2}
        trust = self.trust() or True
        return httpx.Client(
            base_url=self.url, timeout=timeout, trust_env=False, verify=trust, **versions, **more
        )

    def curl(self, *arguments: str) -> list[str]:
        """Return a command of curl that speaks to this server."""
        command = ["curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]
        if self.identity:
            command += ["--cacert", os.fspath(self.identity.certificate)]
            command += ["--http2" if self.http2 else "--http1.1"]
        elif self.http2:
            command += ["--http2-prior-knowledge"]
        return [*command, *arguments]

    @staticmethod
    def token() -> str:
        """Return a word that no other test uses."""
        return f"t{next(_tokens)}"

    def stop(self) -> int:
        """Ask the server to stop, as a supervisor does, and return its exit code."""
        self.ask_to_stop()
        return self.wait()

    def ask_to_stop(self) -> None:
        """Ask the server to stop, as a supervisor does."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Send the server a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until the server has ended, and return its exit code."""
        assert self._process is not None
        return self._process.wait(TIMEOUT)

    def log(self) -> str:
        """Return what the server wrote to standard error."""
        return self._log.read_text(errors="replace")

    def access_log(self) -> str:
        """Return what the server wrote to standard output."""
        return self._access_log.read_text(errors="replace")

    def tracebacks(self) -> list[str]:
        """Return the tracebacks in the log; an exception with its causes, or with its group, is one."""
        log = self.log()
        heads = list(
            re.finditer(r"^(  \+ Exception Group )?Traceback \(most recent", log, flags=re.MULTILINE)
        )
        roots = [head.start() for head in heads if not _CHAINED.search(log[: head.start()])]
        return [log[start:end] for start, end in itertools.pairwise([*roots, len(log)])]

    def notes(self) -> list[str]:
        """Return what the application has noted."""
        return list(self.client.get("/notes").raise_for_status().json())

    def release(self, token: str) -> None:
        """Let what waits for a token in the application go on."""
        assert self.client.post("/release", params={"token": token}).status_code == 204

    def until_noted(self, note: str, seconds: float = 5.0) -> None:
        """Wait until the application has noted something."""
        until(lambda: note in self.notes(), f"the note {note!r}", seconds)

    def _start(self, fd: int) -> None:
        command = [sys.executable, "-m", "tricorn", self.app, "--async-library", self.library]
        command += ["--fd", str(fd), "--app-dir", os.fspath(self._app_dir), *self._options]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with self._log.open("wb") as log, self._access_log.open("wb") as access_log:
            self._process = subprocess.Popen(
                command,
                pass_fds=[fd],
                stdout=access_log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
            )
