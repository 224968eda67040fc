"""Two servers on two hosts behind haproxy on a third: they take over from each other, and no request fails."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from crews import children
from fronts import Front, until
from harness import LIBRARIES
from hosts import Hosts
from traffic import Traffic

PORT = 8000
NAMES = ("one", "two")
DRAINS = (("--workers", "2", "--drain-delay", "2.5"), ("--drain-delay", "100"))
HAPROXY = f"""
frontend all
    bind 127.0.0.1:{PORT}
    default_backend app
backend app
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 100ms fall 1 rise 1
    server one 10.99.0.2:{PORT}
    server two 10.99.1.2:{PORT}
"""


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """Two hosts, and one for the proxy between them."""
    made = Hosts(2)
    try:
        made.make()
        yield made
    finally:
        made.remove()


class Site:
    """The servers of both hosts, the first of them with two workers."""

    def __init__(self, hosts: Hosts, serve: Any, library: str) -> None:
        self._hosts = hosts
        self._serve = serve
        self._library = library
        self.servers = [self.start(0), self.start(1)]

    def start(self, n: int) -> Any:
        """Start the server of a host; that with one process drains until a second signal comes."""
        usual = ("--host", self._hosts.address(n), "--port", str(PORT), "--async-library", self._library)
        paths = ("--ready-path", "/readyz", "--no-access-log")
        with self._hosts.at(self._hosts.names[n]):
            return self._serve(*usual, *paths, *DRAINS[n], app="behind:app")

    def pids(self, n: int) -> list[int]:
        """Return the processes that answer on a host."""
        pid = self.servers[n].process.pid
        return children(pid) or [pid]

    def restart(self, n: int, proxy: Front, traffic: Traffic) -> None:
        """Stop a server once haproxy has seen that it drains, and start it again."""
        server = self.servers[n]
        server.send_signal(signal.SIGTERM)
        until(lambda: not proxy.is_up(NAMES[n]), "haproxy leaves the server")
        traffic.by(self.pids(1 - n))
        if n == 1:
            server.send_signal(signal.SIGTERM)
        assert server.wait() == 0, server.log()
        traffic.by(self.pids(1 - n))
        self.servers[n] = self.start(n)
        until(lambda: proxy.is_up(NAMES[n]), "haproxy finds the server again")
        traffic.by(self.pids(n))


@pytest.mark.parametrize("library", LIBRARIES)
def test_two_hosts_take_over_from_each_other(hosts: Hosts, serve: Any, front: Any, library: str) -> None:
    """Each drains, stops and starts again in its turn."""
    site = Site(hosts, serve, library)
    with hosts.at(hosts.middle):
        proxy = front("haproxy", HAPROXY, PORT)
        traffic = Traffic(PORT)
        with traffic:
            traffic.by(site.pids(0) + site.pids(1))
            for n in (0, 1):
                site.restart(n, proxy, traffic)
    site.servers[0].stop(signal.SIGQUIT)
    site.servers[1].stop(signal.SIGQUIT)
