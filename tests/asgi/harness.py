"""What the black-box tests stand on: a server in a process of its own, and a client that reads strictly."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import answer_lint
import warm

HERE = Path(__file__).parent
APPS = HERE / "apps"
TIMEOUT = 15.0
LIBRARIES = ("asyncio", "uvloop", "trio", "curio")
PARSERS = ("tricorn", "h11", "httptools")
http2 = False
"""Whether requests on connections of their own are made over HTTP/2: pytest's option ``--http2``."""
HTTP1_ONLY = {"test_what_an_application_is_told": "it looks at the version"}
parser = "tricorn"
"""What reads the requests of the servers: pytest's option ``--http``."""
FRAMES = ("tricorn", "wsproto", "websockets")
frames = "tricorn"
"""What reads and writes the frames of WebSockets: pytest's option ``--ws``."""
more_options: list[str] = []
"""More options of every server: those of TLS, with pytest's option ``--tls``."""
wrap: Callable[[socket.socket], socket.socket] | None = None
"""What makes a client's connection one over TLS, with that option."""

# What must never stand in a server's log, whatever a test does.
ALARMS = re.compile(
    r"Task was destroyed|never awaited|never joined|never retrieved|Exception ignored|Fatal Python error"
    r"|AddressSanitizer|LeakSanitizer|runtime error:|Segmentation fault"
)

# Variables that an interpreter reads when it starts, and the loader.
INTERPRETERS = ("PYTHON", "LD_")

Field = tuple[str, str]


def until(condition: Callable[[], object], what: str, seconds: float = TIMEOUT) -> None:
    """Wait until ``condition()`` is true; fail with ``what`` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.005)


@dataclass
class Answer:
    """One answer, read by its framing."""

    version: str
    status: int
    reason: str
    fields: list[Field]
    body: bytes = b""
    complete: bool = True
    """Whether the body ended as its framing says; a body without framing ends with the connection."""
    framing: str = "none"
    """``length``, ``chunked``, ``close`` or ``none``."""
    chunks: list[bytes] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """Return every value of a field, in order."""
        return [value for key, value in self.fields if key.lower() == name]

    def get(self, name: str) -> str | None:
        """Return the value of a field that may stand once at most."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        """Return the value in the body of a good answer."""
        assert self.status == 200, self
        return json.loads(self.body)


class Closed(AssertionError):
    """The connection ended where more bytes were due."""


class Client:
    """One raw connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(TIMEOUT)
        self._held = bytearray()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def reset(self) -> None:
        """Close the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        self.socket.sendall(data)

    def request(
        self, method: str = "GET", target: str = "/", body: bytes | None = None, fields: Iterable[Field] = ()
    ) -> None:
        """Send a request with a Host field, and a Content-Length where there is a body."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test.example"]
        lines += [f"{name}: {value}" for name, value in fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))

    def ask(
        self, method: str = "GET", target: str = "/", body: bytes | None = None, fields: Iterable[Field] = ()
    ) -> Answer:
        """Send a request and return its final answer."""
        self.request(method, target, body, fields)
        return self.answer(head=method == "HEAD")

    def answer(self, *, head: bool = False) -> Answer:
        """Read the next answer, an interim one (1xx) included; ``head`` for an answer to HEAD."""
        lines = self.until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
        match = re.fullmatch(r"(HTTP/1\.1) (\d{3}) (.*)", lines[0])
        assert match, f"bad status line {lines[0]!r}"
        answer = Answer(match[1], int(match[2]), match[3], [_field(line) for line in lines[1:]])
        topline = (answer.version, answer.status, answer.reason)
        if head or answer.status < 200 or answer.status in {204, 304}:
            answer_lint.check(topline, answer.fields, None)
            return answer
        self._read_body(answer)
        answer_lint.check(topline, answer.fields, answer.body if answer.complete else None)
        return answer

    def _read_body(self, answer: Answer) -> None:
        coding, length = answer.get("transfer-encoding"), answer.get("content-length")
        assert coding is None or length is None, "both framings"
        try:
            if coding is not None:
                assert coding == "chunked"
                answer.framing = "chunked"
                self._read_chunks(answer)
            elif length is not None:
                answer.framing = "length"
                answer.body = self.exactly(int(length))
            else:
                answer.framing = "close"
                answer.body = self.rest()
        except Closed:
            answer.complete = False
            answer.body = b"".join(answer.chunks) if answer.framing == "chunked" else bytes(self._held)
            self._held.clear()

    def _read_chunks(self, answer: Answer) -> None:
        while True:
            size = int(self.until(b"\r\n")[:-2], 16)
            if size == 0:
                answer.body = b"".join(answer.chunks)
                assert self.exactly(2) == b"\r\n", "trailers that nobody sent"
                return
            answer.chunks.append(self.exactly(size))
            assert self.exactly(2) == b"\r\n"

    def exactly(self, n: int) -> bytes:
        """Read ``n`` bytes."""
        while len(self._held) < n:
            self._more()
        return self._take(n)

    def over(self) -> bool:
        """Tell whether the server has closed, after waiting for that or for a byte."""
        try:
            if not self._held:
                self._more()
        except Closed:
            return True
        return False

    def until(self, mark: bytes) -> bytes:
        """Read up to and with ``mark``."""
        while mark not in self._held:
            self._more()
        return self._take(self._held.index(mark) + len(mark))

    def _take(self, n: int) -> bytes:
        data = bytes(self._held[:n])
        del self._held[:n]
        return data

    def holds(self) -> bool:
        """Tell whether bytes have come that were not read yet."""
        return bool(self._held)

    def rest(self) -> bytes:
        """Read until the server closes."""
        while True:
            try:
                self._more()
            except Closed:
                return self._take(len(self._held))

    def closed(self) -> bool:
        """Tell whether the server closes with nothing more to read; waits for it."""
        return self.rest() == b""

    def quiet(self, seconds: float = 0.1) -> bool:
        """Tell whether nothing comes, neither bytes nor an end, for so long."""
        if self._held:
            return False
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT)
        del data
        return False

    def _more(self) -> None:
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError as error:
            raise Closed("the connection was reset") from error
        if not data:
            raise Closed("the connection was closed")
        self._held += data


def _field(line: str) -> Field:
    name, colon, value = line.partition(": ")
    assert colon, f"bad field line {line!r}"
    assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), f"bad field name {name!r}"
    return name, value


class Server:
    """An application of ``tests/asgi/apps`` under a server on an inherited socket.

    Without a sanitizer, and where nothing is said to the interpreter, it is a copy of a process that has imported
    what the server needs.

    Args:
        app: ``module:attribute``.
        library: The async library.
        directory: Where the logs are written.
        options: More options of the command.
        environment: More environment variables.
    """

    is_warm = not os.environ.get("TRICORN_TEST_SANITIZED")

    def __init__(
        self,
        app: str,
        library: str,
        directory: Path,
        *options: str,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.app = app
        self.library = library
        self.allows_alarms = False
        self._error = directory / "error.log"
        self._access = directory / "access.log"
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1024)
            self.port: int = listener.getsockname()[1]
            fd = listener.fileno()
            usual = ("--async-library", library, "--app-dir", str(APPS), "--fd", str(fd))
            chosen = ("--http", parser, "--ws", frames, *(["--http2"] if http2 else []))
            self._start([app, *usual, *chosen, *more_options, *options], environment or {}, [fd])

    def _start(
        self, arguments: list[str], environment: dict[str, str], inherited: Sequence[int] = ()
    ) -> None:
        whole = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        with self._error.open("wb") as error, self._access.open("wb") as access:
            self.process: subprocess.Popen[bytes] | warm.Forked
            if self.is_warm and not any(name.startswith(INTERPRETERS) for name in environment):
                (fd,) = inherited
                self.process = warm.start(self.library, arguments, whole, access.fileno(), error.fileno(), fd)
                return
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tricorn", *arguments],
                pass_fds=inherited,
                stdin=subprocess.DEVNULL,
                stdout=access,
                stderr=error,
                env=whole,
            )

    def connect(self, room: int | None = None) -> Client:
        """Open a connection; it is served as soon as the server is up. The kernel keeps about ``room`` bytes for it."""
        return Client(self.dial(room))

    def dial(self, room: int | None = None) -> socket.socket:
        """Return the socket of a connection, or what acts as one over TLS."""
        plain = socket.socket()
        plain.settimeout(TIMEOUT)
        if room is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        plain.connect(("127.0.0.1", self.port))
        return plain if wrap is None else wrap(plain)

    def ask(
        self, method: str = "GET", target: str = "/", body: bytes | None = None, fields: Iterable[Field] = ()
    ) -> Answer:
        """Send one request on a connection of its own."""
        if http2 and type(self) is Server:  # others are started with options of their own
            import http2_client  # which needs this module

            return http2_client.ask(self, method, target, body, fields)
        with self.connect() as client:
            return client.ask(method, target, body, [*fields, ("Connection", "close")])

    def get(self, target: str, fields: Iterable[Field] = ()) -> Any:
        """Ask for a page and return the value in it."""
        return self.ask("GET", target, fields=fields).json()

    def wait_ready(self) -> None:
        """Wait until the server says that it runs."""
        until(lambda: "Tricorn running on" in self.log() or self.process.poll() is not None, "the start")
        assert self.process.poll() is None, self.log()

    def log(self) -> str:
        """Return what the server has written to standard error."""
        return self._error.read_text(errors="replace")

    def access(self) -> str:
        """Return what the server has written to standard output: its access log, and what the app prints."""
        return self._access.read_text(errors="replace")

    def memory(self) -> int:
        """Return the resident memory, in bytes; 0 under a sanitizer, which keeps what was freed to look at it."""
        if os.environ.get("TRICORN_TEST_SANITIZED"):
            return 0
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def state(self) -> str:
        """Return the state of the process: ``T`` when it is stopped."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def descriptors(self) -> int:
        """Return how many descriptors are open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def cpu(self) -> float:
        """Return the seconds of CPU time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send_signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = TIMEOUT) -> int:
        """Wait for the end and return the exit code; the log is checked for alarms."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not end within {seconds} s\n{self.log()}") from None
        log = self.log() + self.access()
        assert self.allows_alarms or not ALARMS.search(log), log
        return code

    def stop(self, number: int = signal.SIGTERM, seconds: float = TIMEOUT) -> int:
        """Send a signal and wait for the end."""
        self.send_signal(number)
        return self.wait(seconds)

    def kill(self) -> None:
        """End the process, if it still runs, without asking."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


Serve = Callable[..., Server]
"""What the fixtures ``shared`` and ``own`` are: they start a server, or give the one that runs."""
