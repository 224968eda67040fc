"""Servers with worker processes, as tests see them: who works, and what becomes of requests meanwhile."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from command import Command, open_url
from harness import TIMEOUT, Client, Closed, until


def ready(command: Command, count: int, seconds: float = TIMEOUT) -> list[int]:
    """Wait until so many workers have said that they are ready since the start; returns their processes."""

    def pids() -> list[int]:
        return [int(pid) for pid in re.findall(r"Worker \d+ \(pid (\d+)\) is ready", command.log())]

    until(
        lambda: (len(pids()) >= count and command.urls()) or command.process.poll() is not None,
        f"{count} workers",
        seconds,
    )
    assert command.process.poll() is None, command.log()
    return pids()


def alive(pid: int) -> bool:
    """Tell whether a process runs, and is not only waited for by nobody."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """Return the processes that another has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def gone(pids: list[int]) -> bool:
    """Tell whether none of the processes runs."""
    return not any(alive(pid) for pid in pids)


def kill(pid: int, number: int) -> None:
    """Send a signal to a process of the server's."""
    os.kill(pid, number)


class Clients:
    """Threads that ask again and again until they are told that it is over.

    Args:
        runs: What each of them does, until :meth:`over`.
    """

    def __init__(self, runs: Iterable[Callable[[], None]]) -> None:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in runs]

    def over(self) -> bool:
        """Tell whether they are to end."""
        return self._over.is_set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have the clients ask while the context lasts."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join(30)
                assert not thread.is_alive(), "a client hangs"


class Load(Clients):
    """Clients that ask again and again, on connections that they keep as long as the server does.

    Attributes:
        answers: How many answers each process has given.
        failures: Requests that got none, or half of one, and connections that could not be made.
        halves: Those among them whose answer was begun.
        served_by: The processes that had answered on the connections of failed requests before.
    """

    def __init__(self, url: str, clients: int, target: str = "/") -> None:
        self.url = url
        self.target = target
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []
        self.halves: list[str] = []
        self.served_by: list[int | None] = []
        super().__init__([self._run] * clients)

    def more(self, count: int) -> None:
        """Wait for so many more answers."""
        before = self.answers.total()
        until(lambda: self.answers.total() >= before + count, f"{count} more answers", 30)

    def _run(self) -> None:
        while not self.over():
            try:
                with open_url(self.url) as client:
                    self._keep_asking(client)
            except OSError as error:
                self.failures.append(f"connect: {error!r}")
                time.sleep(0.01)

    def _fail(self, what: str, pid: int | None, *, half: bool) -> None:
        self.failures.append(what)
        self.served_by.append(pid)
        if half:
            self.halves.append(what)

    def _keep_asking(self, client: Client) -> None:
        asked = 0
        pid: int | None = None
        while not self.over():
            try:
                answer = client.ask(target=self.target)
            except (Closed, OSError, AssertionError) as error:
                self._fail(f"request {asked} of a connection: {error!r}", pid, half=client.holds())
                return
            if not answer.complete or answer.status != 200:
                self._fail(f"request {asked} of a connection: {answer}", pid, half=True)
                return
            asked += 1
            pid = int(answer.json()["pid"])
            self.answers[pid] += 1
            if answer.get("connection") == "close":
                return


class Wrk:
    """The load generator, until it is told to end.

    Args:
        url: What it asks for; the path is ``/``.
        connections: How many it keeps.
        seconds: When it ends by itself.
    """

    def __init__(self, url: str, connections: int, seconds: int = 100) -> None:
        program = shutil.which("wrk")
        assert program is not None
        command = [program, "-t1", f"-c{connections}", f"-d{seconds}s", f"{url}/"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def end(self) -> int:
        """End it now, see that nothing has failed, and return how many requests were answered."""
        assert self._process.poll() is None, "it has ended before"
        self._process.send_signal(signal.SIGINT)
        report = self._process.communicate(timeout=60)[0]
        assert "Socket errors" not in report, report
        assert "Non-2xx" not in report, report
        return int(re.findall(r"(\d+) requests in", report)[0])

    def kill(self) -> None:
        """End it without asking."""
        self._process.kill()
        self._process.wait()
