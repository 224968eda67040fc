"""Workers that are replaced, added and taken away behind proxies: no request fails, and no check of a proxy's."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from crews import Wrk, children, ready
from fronts import Front, free_port, until
from traffic import Traffic

ROUNDS = 3

HAPROXY = """
frontend all
    mode {mode}
    bind 127.0.0.1:{at}
    default_backend app
backend app
    mode {mode}
    option httpchk GET /readyz
    http-check expect status 200
    server one 127.0.0.1:{server} {options} check inter 100ms fall 1 rise 1
"""
MODES = {
    "http": ("http", ""),
    "proxy": ("tcp", "send-proxy-v2 check-send-proxy"),
}
NGINX = """
    upstream app {{ server 127.0.0.1:{server}; keepalive 32; }}
    server {{
        listen 127.0.0.1:{at};
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""


@pytest.fixture
def wrk() -> Iterator[Any]:
    """``wrk(front)``: the load generator asks through a proxy while the test lasts."""
    started: list[Wrk] = []

    def start(proxy: Front) -> Wrk:
        started.append(Wrk(f"http://127.0.0.1:{proxy.port}", 24))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def roll(server: Any, ready_before: int) -> None:
    """Replace two workers, and wait until those before them have ended."""
    server.send_signal(signal.SIGHUP)
    ready(server, ready_before + 2)
    until(lambda: len(children(server.process.pid)) == 2, "the end of the old workers")


@pytest.mark.parametrize(
    ("mode", "library", "drain"),
    [
        ("http", "asyncio", "0"),
        ("http", "trio", "30"),
        ("proxy", "uvloop", "30"),
        ("proxy", "curio", "0"),
    ],
)
def test_haproxy_sees_nothing_of_a_rolling_restart(
    serve: Any, front: Any, wrk: Any, mode: str, library: str, drain: str
) -> None:
    """Neither a request nor a check fails, and none has to be sent again; nor does a drain delay hold it up."""
    port, at = free_port(), free_port()
    proxied = ",proxy" if mode == "proxy" else ""
    paths = ("--ready-path", "/readyz", "--drain-delay", drain, "--no-access-log")
    usual = ("--bind", f"127.0.0.1:{port}{proxied}", "--workers", "2", "--async-library", library)
    server = serve(*usual, *paths, app="behind:app")
    kind, options = MODES[mode]
    proxy = front("haproxy", HAPROXY.format(mode=kind, at=at, server=port, options=options), at)
    until(lambda: proxy.servers()["one"]["check_status"] == "L7OK", "the first check")
    load = wrk(proxy)
    with Traffic(at) as traffic:
        for round_ in range(ROUNDS):
            roll(server, 2 + 2 * round_)
            traffic.more(50)
        assert load.end() > 100
    one = proxy.servers()["one"]
    for count in ("chkfail", "chkdown", "econ", "eresp", "wretr", "wredis"):
        assert one[count] == "0", (count, one)
    assert server.stop(signal.SIGQUIT) == 128 + signal.SIGQUIT  # does not drain


def complaints(proxy: Front) -> list[str]:
    """Return what nginx says of the servers behind it; a load generator that ends breaks off requests by itself."""
    lines = proxy.log().splitlines()
    return [line for line in lines if "upstream" in line and "client prematurely closed" not in line]


def test_nginx_sees_nothing_of_workers_that_come_and_go(serve: Any, front: Any, wrk: Any) -> None:
    """More, fewer, others, on connections that are kept: POST, which nginx does not send twice, fails neither."""
    port, at = free_port(), free_port()
    server = serve("--port", str(port), "--workers", "2", "--no-access-log", app="behind:app")
    proxy = front("nginx", NGINX.format(server=port, at=at), at)
    load = wrk(proxy)
    with Traffic(at) as traffic:
        server.send_signal(signal.SIGTTIN)
        traffic.by(ready(server, 3))
        server.send_signal(signal.SIGTTOU)
        until(lambda: len(children(server.process.pid)) == 2, "the end of one worker")
        traffic.more(50)
        roll(server, 3)
        traffic.by(children(server.process.pid))
        assert load.end() > 100
    assert complaints(proxy) == []


def test_nginx_sees_nothing_of_recycling(serve: Any, front: Any) -> None:
    """Workers that have served enough are replaced under traffic."""
    port, at = free_port(), free_port()
    most = ("--limit-max-requests", "150", "--limit-max-requests-jitter", "50")
    server = serve("--port", str(port), "--workers", "2", *most, "--no-access-log", app="behind:app")
    proxy = front("nginx", NGINX.format(server=port, at=at), at)
    with Traffic(at) as traffic:
        ready(server, 6)
        traffic.more(50)
    assert server.log().count("is replaced: it has served") >= 4
    assert complaints(proxy) == []
