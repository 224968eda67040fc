"""haproxy in front: fields, PROXY headers, checks and drain."""

from __future__ import annotations

from typing import Any

import pytest
from fronts import CLIENT, free_port, host_of, until
from traffic import Traffic


def test_fields(serve: Any, front: Any) -> None:
    """Client, scheme, host and prefix, and none of the client's own."""
    server, at = free_port(), free_port()
    serve("--port", str(server))
    proxy = front(
        "haproxy",
        f"""
frontend all
    bind 127.0.0.1:{at}
    option forwardfor
    http-request del-header X-Forwarded-For
    http-request del-header Forwarded
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Port 8443
    http-request set-header X-Forwarded-Prefix /api
    http-request replace-path /api/(.*) /\\1
    http-request set-header Host internal
    default_backend app
backend app
    server one 127.0.0.1:{server}
""",
        at,
    )
    scope = proxy.scope("/api/a%20b", {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6"})
    assert scope["client"] == [CLIENT, 0]
    assert scope["scheme"] == "https"
    assert host_of(scope) == "public.example:8443"
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/a b")


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"])
def test_proxy_protocol(serve: Any, front: Any, version: str) -> None:
    """The client is whom the header names, whatever its own fields say; checks come with a header, too."""
    server, at = free_port(), free_port()
    running = serve("--bind", f"127.0.0.1:{server},proxy", "--health-path", "/healthz")
    proxy = front(
        "haproxy",
        f"""
frontend all
    mode tcp
    bind 127.0.0.1:{at}
    default_backend app
backend app
    mode tcp
    option httpchk GET /healthz
    server one 127.0.0.1:{server} source 127.0.0.3 {version} check check-send-proxy inter 100ms
""",
        at,
    )
    # The connections come from an address that is not trusted.
    assert not _works(proxy)
    until(lambda: "may not send a PROXY header" in running.log(), "the refusal")
    running.process.terminate()
    assert running.wait() == 0
    running = serve(
        "--bind",
        f"127.0.0.1:{server},proxy",
        "--health-path",
        "/healthz",
        "--forwarded-allow-ips",
        "127.0.0.3",
    )
    until(lambda: _works(proxy), "the check finds the server")
    scope = proxy.scope("/", {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"})
    assert scope["client"][0] == CLIENT and scope["client"][1] != 0
    assert scope["scheme"] == "http"
    assert scope["server"] == ["127.0.0.1", at]
    last = proxy.servers()["one"]["lastchg"]
    until(lambda: proxy.servers()["one"]["lastchg"] > last, "some checks")
    assert "PROXY header" not in running.log()


def _works(proxy: Any) -> bool:
    try:
        return bool(proxy.ask()[0] == 200)
    except OSError:
        return False


def test_two_servers_take_over(serve: Any, front: Any) -> None:
    """Each stops in its turn and comes back, and no request fails: the delay is enough for haproxy to see it."""
    one, two, at = free_port(), free_port(), free_port()
    paths = (
        "--ready-path",
        "/readyz",
        "--health-path",
        "/healthz",
        "--drain-delay",
        "1.5",
        "--no-access-log",
    )
    servers = [serve("--port", str(port), *paths, app="behind:app") for port in (one, two)]
    proxy = front(
        "haproxy",
        f"""
frontend all
    bind 127.0.0.1:{at}
    default_backend app
backend app
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 100ms fall 1 rise 1
    server one 127.0.0.1:{one}
    server two 127.0.0.1:{two}
""",
        at,
    )
    with Traffic(at) as traffic:
        for turn, port in enumerate((one, two)):
            traffic.by([server.process.pid for server in servers])
            servers[turn].process.terminate()
            assert servers[turn].wait() == 0
            name = ("one", "two")[turn]
            assert not proxy.is_up(name)
            servers[turn] = serve("--port", str(port), *paths, app="behind:app")
            until(lambda: proxy.is_up(name), "the server is found again")  # noqa: B023  # called at once
        traffic.by([server.process.pid for server in servers])
