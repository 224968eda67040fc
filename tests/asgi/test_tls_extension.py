"""What applications learn of TLS: the extension ``tls`` of ASGI, version 0.2 (statement E8)."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tls_tools
from harness import TIMEOUT, Client, Serve, Server
from websockets.sync.client import connect

NONE_TOO = True
APP = "proxied:app"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a certificate for this machine, and its key."""
    return tls_tools.self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(shared: Serve, library: str, files: tuple[Path, Path]) -> Server:
    """Return a server that speaks TLS."""
    certificate, key = files
    return shared(APP, library, "--ssl-certfile", str(certificate), "--ssl-keyfile", str(key))


@pytest.fixture
def context(files: tuple[Path, Path]) -> ssl.SSLContext:
    """Return what a client that trusts the certificate speaks."""
    return ssl.create_default_context(cafile=str(files[0]))


@pytest.fixture
def client(server: Server, context: ssl.SSLContext) -> Iterator[Client]:
    """Return a connection over TLS."""
    with Client(tls_tools.dial(context, server.port)) as opened:
        yield opened


def told(client: Client) -> Any:
    """Return the extension as an application sees it."""
    return client.ask().json()["extensions"]["tls"]


def test_E8_all_is_told_over_tls(client: Client, files: tuple[Path, Path]) -> None:
    """Every key is there; a client without a certificate has an empty chain."""
    extension = told(client)
    # OpenSSL writes PEM as the file has it.
    assert extension.pop("server_cert") == files[0].read_text()
    assert extension.pop("cipher_suite") == 0x1301
    assert extension == {
        "client_cert_chain": [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": 0x0304,
    }


@pytest.mark.parametrize(
    ("name", "suite"),
    [("ECDHE-ECDSA-AES128-GCM-SHA256", 0xC02B), ("ECDHE-ECDSA-CHACHA20-POLY1305", 0xCCA9)],
)
def test_E8_older_version_and_its_suites(
    server: Server, context: ssl.SSLContext, name: str, suite: int
) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(name)
    with Client(tls_tools.dial(context, server.port)) as client:
        extension = told(client)
    assert (extension["tls_version"], extension["cipher_suite"]) == (0x0303, suite)


def test_E8_websockets_are_told_the_same(server: Server, context: ssl.SSLContext, client: Client) -> None:
    with connect(f"wss://localhost:{server.port}/", ssl=context, open_timeout=TIMEOUT) as websocket:
        scope = json.loads(websocket.recv(TIMEOUT))
    assert scope["extensions"]["tls"] == told(client)


def test_E8_nothing_is_told_without_tls(shared: Serve, library: str) -> None:
    assert "tls" not in shared(APP, library).get("/")["extensions"]


def test_each_request_of_a_connection_is_told_anew(shared: Serve, library: str, files: Any) -> None:
    """What an application changes in its scope is not seen by the next request, nor by other connections."""
    options = ("--ssl-certfile", str(files[0]), "--ssl-keyfile", str(files[1]))
    server = shared("tls_changes:app", library, *options)
    context = ssl.create_default_context(cafile=str(files[0]))
    for _ in range(2):
        with Client(tls_tools.dial(context, server.port)) as client:
            assert [client.ask().json() for _ in range(3)] == [[None, []]] * 3


def test_connections_at_once_are_told_their_own(server: Server, files: tuple[Path, Path]) -> None:
    """Connections of different versions take turns."""
    versions = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3] * 4
    seen: list[tuple[int, int]] = []

    def ask(version: ssl.TLSVersion) -> None:
        context = ssl.create_default_context(cafile=str(files[0]))
        context.minimum_version = context.maximum_version = version
        with Client(tls_tools.dial(context, server.port)) as client:
            seen.extend((version.value, told(client)["tls_version"]) for _ in range(20))

    threads = [threading.Thread(target=ask, args=[version]) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 160 and all(wanted == got for wanted, got in seen)
