"""WebSockets of frameworks over HTTP/2: what clients do over HTTP/1.1, and what sharing a connection adds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import test_websockets
from http2_client import Http2, connect_tls
from serving import Identity, Site
from test_websockets import APPS, NO_LIFESPAN, STACKS, address, until_ended
from websocket_clients import ByHttp2

from tricorn import versions

pytestmark = pytest.mark.skipif(
    not (versions.has_tls() and versions.has_http2()), reason="TLS or HTTP/2 is not built in"
)
COUNT = 30


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((framework, library), id=f"{framework}-{library}")
        for framework, libraries in STACKS.items()
        for library in libraries
    ],
)
def stack(
    request: pytest.FixtureRequest, identity: Identity, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Site]]:
    """A framework, and its application on one library, over TLS."""
    framework, library = request.param
    directory = tmp_path_factory.mktemp(f"h2-ws-{framework}-{library}")
    options = ("--lifespan", "off") if framework in NO_LIFESPAN else ()
    app = (f"ws_{framework}_app:app", library, APPS, directory)
    with Site(*app, *options, identity=identity, http2=True) as site:
        yield framework, site


@pytest.fixture
def client() -> type[ByHttp2]:
    """The client of the scenarios."""
    return ByHttp2


@pytest.fixture
def connection(stack: tuple[str, Site]) -> Iterator[Http2]:
    """A connection that WebSockets share."""
    context = stack[1].trust()
    assert context is not None
    with connect_tls(context, stack[1].port) as opened:
        yield opened


def open_on(connection: Http2, site: Site, token: str) -> ByHttp2:
    """Open a WebSocket on a connection."""
    return ByHttp2(address(site, "/echo", token), trust=site.trust(), connection=connection)


def test_many_share_a_connection(stack: tuple[str, Site], connection: Http2) -> None:
    """Each hears its own messages only; one that closes, and one that is given up, leave the others alone."""
    site = stack[1]
    tokens = [site.token() for _ in range(COUNT)]
    peers = [open_on(connection, site, token) for token in tokens]
    for size in (10, 20_000):
        for number, peer in enumerate(peers):
            peer.send(f"{number} " + "x" * size)
        for number, peer in enumerate(peers):
            assert peer.take() == f"{number} " + "x" * size
    assert peers[0].close(1000)[0] == 1000
    peers[1].drop()
    until_ended(stack, tokens[1], "1006")
    for number, peer in enumerate(peers[2:]):
        peer.send(f"still {number}")
        assert peer.take() == f"still {number}"
        assert peer.close(1000) == (1000, "")


def test_message_far_larger_than_a_window(stack: tuple[str, Site], connection: Http2) -> None:
    site, token = stack[1], stack[1].token()
    peer = open_on(connection, site, token)
    message = json.dumps([number * 7919 % 104_729 for number in range(120_000)])
    peer.send(message)
    assert peer.take() == message
    peer.close(1000)


def test_connection_that_ends_is_noticed_by_all(stack: tuple[str, Site], connection: Http2) -> None:
    site, tokens = stack[1], [stack[1].token() for _ in range(3)]
    for token in tokens:
        open_on(connection, site, token)
    connection.close()
    for token in tokens:
        until_ended(stack, token, "1006")


# The scenarios of WebSockets over HTTP/1.1; the last one stops the server.
scenarios: dict[str, Any] = vars(test_websockets)
globals().update({name: test for name, test in scenarios.items() if name.startswith("test_")})
