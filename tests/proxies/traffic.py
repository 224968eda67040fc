"""Steady traffic through a proxy, and whether any of it failed."""

from __future__ import annotations

import http.client
import itertools
import select
import threading
from collections import Counter
from types import TracebackType

from fronts import CLIENT, TIMEOUT, until

PER_CONNECTION = 25
"""Requests of a client until it connects anew."""


class Traffic:
    """Clients that ask again and again, with GET and POST in turn, on connections that they keep for a while.

    No request is sent twice: one that has no answer, or a wrong one, has failed. While the context lasts they ask; at
    its end nothing may have failed.

    Args:
        host: Where the proxy listens.
        port: And at which port.
        clients: How many there are.
        source: Their address.

    Attributes:
        failed: What went wrong.
        answers: How many answers each process has given.
    """

    def __init__(self, port: int, clients: int = 6, host: str = "127.0.0.1", source: str = CLIENT) -> None:
        self.failed: list[str] = []
        self.answers: Counter[int] = Counter()
        self._where = (host, port, TIMEOUT, (source, 0))
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(clients)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(2 * TIMEOUT)
            assert not thread.is_alive(), "a client hangs"
        assert not self.failed, (self.failed, error)

    def more(self, count: int) -> None:
        """Wait for so many more answers; none may fail meanwhile."""
        before = self.answers.total()
        until(lambda: self.failed or self.answers.total() >= before + count, f"{count} more answers")
        assert not self.failed, self.failed

    def by(self, pids: list[int]) -> None:
        """Wait for one more answer at least from each of these processes."""
        before = self.answers.copy()
        until(
            lambda: self.failed or all(self.answers[pid] > before[pid] for pid in pids), f"answers by {pids}"
        )
        assert not self.failed, self.failed

    def _run(self, name: int) -> None:
        for turn in itertools.count():
            if self._over.is_set():
                return
            connection = http.client.HTTPConnection(*self._where)
            try:
                self._keep_asking(connection, name, turn)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
            finally:
                connection.close()

    def _keep_asking(self, connection: http.client.HTTPConnection, name: int, turn: int) -> None:
        for count in range(PER_CONNECTION):
            if self._over.is_set() or _is_closed(connection):
                return
            method = ("GET", "POST")[(name + count) % 2]
            body = f"{name}-{turn}-{count}" if method == "POST" else ""
            connection.request(method, "/slow" if count % 5 == 0 else "/", body or None)
            answer = connection.getresponse()
            pid, _, rest = answer.read().decode().partition(" ")
            if answer.status != 200 or rest != f"{method} {body}":
                self.failed.append(f"{method}: {answer.status} {pid} {rest}")
            else:
                self.answers[int(pid)] += 1


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    """Tell whether the other side has closed a connection that is idle, which it may."""
    if connection.sock is None:
        return False
    readable, _, _ = select.select([connection.sock], [], [], 0)
    return bool(readable)
