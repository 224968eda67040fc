"""What applications see of the fields that proxies send; ``docs/proxies.md`` says the same."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from harness import APPS, Field, Serve, Server, until
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from websocket_client import FIELDS, Peer

APP = "proxied:app"
NONE_TOO = True
TRUSTED = "127.0.0.1,10.0.0.0/8"


def scope_of(server: Server, fields: list[Field], target: str = "/a%20b") -> dict[str, Any]:
    """Return the scope of a request with these fields."""
    scope: dict[str, Any] = server.get(target, fields)
    return scope


def host_of(scope: dict[str, Any]) -> list[str]:
    """Return the values of Host."""
    return [value["bytes"] for name, value in scope["headers"] if name["bytes"] == "host"]


ALL: list[Field] = [
    ("X-Forwarded-For", "6.6.6.6, 192.0.2.1:8080, 10.0.0.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "public.example"),
    ("X-Forwarded-Port", "8443"),
    ("X-Forwarded-Prefix", "/api/"),
]


def test_everything_of_a_proxy(shared: Serve, library: str) -> None:
    """And the next request of the connection is as if there was none."""
    server = shared(APP, library, "--forwarded-allow-ips", TRUSTED)
    with server.connect() as client:
        scope = client.ask("GET", "/a%20b?c", fields=ALL).json()
        plain = client.ask("GET", "/a%20b?c").json()
    assert scope["client"] == ["192.0.2.1", 8080]
    assert scope["scheme"] == "https"
    assert host_of(scope) == ["public.example:8443"]
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/a b")
    assert scope["raw_path"]["bytes"] == "/api/a%20b"
    assert scope["query_string"]["bytes"] == "c"
    assert scope["server"] == ["127.0.0.1", server.port]
    assert [name["bytes"] for name, _ in scope["headers"]][1:] == [name.lower() for name, _ in ALL]
    assert (plain["client"][0], plain["scheme"], host_of(plain)) == ("127.0.0.1", "http", ["test.example"])
    assert (plain["root_path"], plain["path"]) == ("", "/a b")
    until(lambda: "192.0.2.1:8080" in server.access(), "the line of the access log")


def test_forwarded(shared: Serve, library: str) -> None:
    """The standard's own field; the element that the outermost trusted proxy has added counts."""
    server = shared(APP, library, "--forwarded-allow-ips", TRUSTED)
    value = 'for=6.6.6.6;host=evil.example, For="[2001:db8::1]:99";proto=https;host="public.example", for=10.0.0.7'
    scope = scope_of(server, [("Forwarded", value)])
    assert (scope["client"], scope["scheme"]) == (["2001:db8::1", 99], "https")
    assert host_of(scope) == ["public.example"]
    assert scope_of(server, [("Forwarded", value), ("X-Forwarded-Proto", "http")])["client"][0] == "127.0.0.1"


def test_prefix_and_root_path(shared: Serve, library: str) -> None:
    """The proxy's prefix stands before the server's own root path."""
    server = shared(APP, library, "--forwarded-allow-ips", TRUSTED, "--root-path", "/mount")
    scope = scope_of(server, [("X-Forwarded-Prefix", "/api")])
    assert (scope["root_path"], scope["path"]) == ("/api/mount", "/api/mount/a b")
    assert scope["raw_path"]["bytes"] == "/api/mount/a%20b"
    with server.connect() as client:
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Forwarded-Prefix: /api\r\nConnection: close\r\n\r\n")
        assert client.answer().json()["path"] == "*"


def test_a_host_where_there_was_none(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--forwarded-allow-ips", TRUSTED)
    with server.connect() as client:
        client.send(b"GET / HTTP/1.0\r\nX-Forwarded-Host: public.example\r\n\r\n")
        assert host_of(client.answer().json()) == ["public.example"]


def test_websockets(shared: Serve, library: str) -> None:
    """Their schemes are ws and wss, whatever the proxy calls it."""
    server = shared(APP, library, "--forwarded-allow-ips", TRUSTED)
    for said, scheme in (("https", "wss"), ("wss", "wss"), ("http", "ws"), ("ws", "ws"), ("gopher", "ws")):
        with Peer(server.connect().socket) as peer:
            proxied = [
                ("X-Forwarded-Proto", said),
                ("X-Forwarded-For", "192.0.2.1"),
                ("X-Forwarded-Prefix", "/p"),
            ]
            peer.ask_upgrade("/socket", [*FIELDS, *proxied])
            peer.opened()
            scope = json.loads(peer.message())
        assert (scope["scheme"], scope["client"]) == (scheme, ["192.0.2.1", 0])
        assert (scope["root_path"], scope["path"]) == ("/p", "/p/socket")
    assert scope_of(server, [("X-Forwarded-Proto", "wss")])["scheme"] == "https"


@pytest.mark.parametrize(
    "options",
    [
        ("--forwarded-allow-ips", "192.0.2.0/24,unix"),
        ("--no-proxy-headers", "--forwarded-allow-ips", "*"),
        ("--forwarded-fields", "forwarded"),
        ("--forwarded-allow-ips", ""),
    ],
    ids=["not-trusted", "switched-off", "another-field", "nobody"],
)
def test_nothing_is_believed(shared: Serve, library: str, options: tuple[str, ...]) -> None:
    scope = scope_of(shared(APP, library, *options), ALL)
    assert (scope["client"][0], scope["scheme"], scope["root_path"]) == ("127.0.0.1", "http", "")
    assert host_of(scope) == ["test.example"]


def test_hops(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--forwarded-hops", "2")
    assert scope_of(server, [("X-Forwarded-For", "6.6.6.6, 192.0.2.1, 10.0.0.7")])["client"][0] == "192.0.2.1"
    assert scope_of(server, [("X-Forwarded-For", "6.6.6.6")])["client"][0] == "127.0.0.1"


def test_a_refusal_names_the_client(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--forwarded-allow-ips", TRUSTED)
    fields = [field for field in FIELDS if field[0] != "Sec-WebSocket-Key"]
    with server.connect() as client:
        client.request("GET", "/", fields=[*fields, ("X-Forwarded-For", "192.0.2.9")])
        assert client.answer().status == 400
    until(lambda: "Refused a request from 192.0.2.9" in server.log(), "the refusal in the log")


def test_over_a_unix_socket(run: Any, library: str, tmp_path: Any) -> None:
    """Peers without an address are trusted when they are named."""
    path = str(tmp_path / "socket")
    usual = (APP, "--async-library", library, "--app-dir", str(APPS), "--uds", path)
    for allowed, client in (("unix", ["192.0.2.1", 0]), ("127.0.0.1", None), ("*", ["192.0.2.1", 0])):
        server = run(*usual, "--forwarded-allow-ips", allowed)
        with server.connect() as connection:
            scope = connection.ask("GET", "/", fields=[("X-Forwarded-For", "192.0.2.1")]).json()
        assert scope["client"] == client
        assert scope["server"] == [path, None]
        assert server.stop() == 0


def test_the_environment_says_whom_to_trust(own: Serve, library: str) -> None:
    """By uvicorn's name as well, after ours."""
    variables = {"FORWARDED_ALLOW_IPS": "192.0.2.7"}
    server = own(APP, library, environment=variables)
    assert scope_of(server, ALL)["client"][0] == "127.0.0.1"
    server = own(APP, library, environment={**variables, "TRICORN_FORWARDED_ALLOW_IPS": TRUSTED})
    assert scope_of(server, ALL)["client"][0] == "192.0.2.1"


# --- uvicorn's own reading ---

SAME: tuple[list[Field], ...] = (
    [],
    [("X-Forwarded-For", "192.0.2.1")],
    [("X-Forwarded-For", "192.0.2.1:5000")],
    [("X-Forwarded-For", "6.6.6.6, 192.0.2.1")],
    [("X-Forwarded-For", "6.6.6.6, 192.0.2.1, 10.0.0.7, 127.0.0.1")],
    [("X-Forwarded-For", "10.0.0.8, 10.0.0.7")],
    [("X-Forwarded-For", "192.0.2.1,10.0.0.7")],
    [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "192.0.2.1")],
    [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "10.0.0.7")],
    [("X-Forwarded-For", "2001:db8::1")],
    [("X-Forwarded-For", "[2001:db8::1]")],
    [("X-Forwarded-For", "[2001:db8::1]:443, 10.0.0.7:1")],
    [("X-Forwarded-For", "")],
    [("X-Forwarded-For", "192.0.2.1, ")],
    [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")],
    [("X-Forwarded-Proto", "http")],
    [("X-Forwarded-Proto", "https")],
    [("X-Forwarded-Proto", "gopher")],
    [("X-Forwarded-Proto", "")],
)
OTHERWISE: tuple[tuple[list[Field], tuple[Any, str], tuple[Any, str]], ...] = (
    # What is no address is none for us.
    ([("X-Forwarded-For", "unknown")], (["unknown", 0], "http"), (None, "http")),
    ([("X-Forwarded-For", "1.2.3.4.5")], (["1.2.3.4.5", 0], "http"), (None, "http")),
    ([("X-Forwarded-For", "192.0.2.1, a.b, 10.0.0.7")], (["a.b", 0], "http"), (["10.0.0.7", 0], "http")),
    # An address has one spelling.
    ([("X-Forwarded-For", "2001:DB8:0::1")], (["2001:DB8:0::1", 0], "http"), (["2001:db8::1", 0], "http")),
    # The scheme of a request is http or https; a list is read as that of the clients is; case does not matter.
    ([("X-Forwarded-Proto", "wss")], (None, "wss"), (None, "https")),
    ([("X-Forwarded-Proto", "https, http")], (None, "http"), (None, "http")),
    ([("X-Forwarded-Proto", "HTTPS")], (None, "http"), (None, "https")),
)


def uvicorns(fields: list[Field]) -> tuple[Any, str]:
    """Return client and scheme as uvicorn has them; ``None`` for the peer itself."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    headers = [(name.lower().encode(), value.strip().encode()) for name, value in fields]
    scope: Any = {"type": "http", "scheme": "http", "client": ("127.0.0.1", 1), "headers": headers}
    asyncio.run(ProxyHeadersMiddleware(app, TRUSTED)(scope, None, None))  # type: ignore[arg-type]
    return (None if seen["client"] == ("127.0.0.1", 1) else list(seen["client"]), seen["scheme"])


def ours(server: Server, fields: list[Field]) -> tuple[Any, str]:
    """Return the same of a request to a server."""
    scope = scope_of(server, fields)
    peer = scope["client"][0] == "127.0.0.1" and scope["client"][1] != 0
    return (None if peer else scope["client"], scope["scheme"])


def test_uvicorn_reads_them_alike(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--forwarded-allow-ips", TRUSTED)
    for fields in SAME:
        assert ours(server, fields) == uvicorns(fields), fields


def test_where_uvicorn_reads_otherwise(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--forwarded-allow-ips", TRUSTED)
    for fields, theirs, wanted in OTHERWISE:
        assert (uvicorns(fields), ours(server, fields)) == (theirs, wanted), fields
