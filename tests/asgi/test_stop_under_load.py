"""A stop under a steady load on connections that are kept: no request is lost, and nothing is left open."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from harness import Client, Closed, Serve, until

APP = "stops:app"
CLIENTS = 8


@dataclass
class Load:
    """What became of the requests of all clients."""

    answered: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    wrong: list[object] = field(default_factory=list)

    def run(self, name: int, client: Client) -> None:
        """Ask again and again on one connection, until the server ends it."""
        with client:
            self._ask(name, client)

    def _ask(self, name: int, client: Client) -> None:
        for count in range(1_000_000):
            token = f"{name}-{count}"
            try:
                client.request(target=f"/plain?n={token}")
                answer = client.answer()
            except (Closed, OSError):
                self.unanswered.append(token)
                return
            except AssertionError as error:
                self.wrong.append(error)
                return
            if answer.body != f"n={token}".encode() or not answer.complete:
                self.wrong.append(answer)
            self.answered.append(token)
            if answer.get("connection") == "close":
                return


def test_no_request_is_lost_on_connections_that_are_kept(own: Serve, library: str) -> None:
    """What the application has seen was answered in full; what was not answered it has never seen.

    A request that is sent while the server closes an idle connection cannot be saved, but at most one on each.
    """
    server = own(APP, library, "--no-access-log", "--lifespan", "on")
    load = Load()
    clients = [server.connect() for _ in range(CLIENTS)]
    threads = [threading.Thread(target=load.run, args=pair, daemon=True) for pair in enumerate(clients)]
    for thread in threads:
        thread.start()
    until(lambda: len(load.answered) > 500, "a steady load")
    assert server.stop() == 0
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive(), "the connection was not closed"
    assert load.wrong == []
    assert len(load.unanswered) <= CLIENTS
    seen = server.access().partition("shutdown after ")[2].partition(": ")[2].split()
    assert sorted(seen) == sorted(load.answered)


def test_nothing_is_left_open(own: Serve, library: str) -> None:
    """The interpreter itself complains of sockets, loops and files that nobody has closed."""
    server = own(APP, library, environment={"PYTHONWARNINGS": "always", "PYTHONDEVMODE": "1"})
    with server.connect() as client:
        assert client.ask(target="/plain?n=1").status == 200
        assert server.ask("POST", "/echo", b"x").body == b"x"
        assert server.ask(target="/slow?ms=1").body == b"slow"
        assert server.stop() == 0
    assert "ResourceWarning" not in server.log(), server.log()
