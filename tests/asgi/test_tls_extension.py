"""What applications learn of TLS: the extension ``tls`` of ASGI, version 0.2 (statement E8)."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from authority import Authority, self_signed
from harness import Client, Serve, Server
from tls_client import dial, first_message, its_session

NONE_TOO = True
APP = "proxied:app"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a certificate for this machine, and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


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
    with Client(dial(context, server.port)) as opened:
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
    with Client(dial(context, server.port)) as client:
        extension = told(client)
    assert (extension["tls_version"], extension["cipher_suite"]) == (0x0303, suite)


def test_E8_websockets_are_told_the_same(server: Server, context: ssl.SSLContext, client: Client) -> None:
    assert first_message(context, server.port)["extensions"]["tls"] == told(client)


def test_E8_nothing_is_told_without_tls(shared: Serve, library: str) -> None:
    assert "tls" not in shared(APP, library).get("/")["extensions"]


def test_each_request_of_a_connection_is_told_anew(shared: Serve, library: str, files: Any) -> None:
    """What an application changes in its scope is not seen by the next request, nor by other connections."""
    options = ("--ssl-certfile", str(files[0]), "--ssl-keyfile", str(files[1]))
    server = shared("tls_changes:app", library, *options)
    context = ssl.create_default_context(cafile=str(files[0]))
    for _ in range(2):
        with Client(dial(context, server.port)) as client:
            assert [client.ask().json() for _ in range(3)] == [[None, []]] * 3


def test_connections_at_once_are_told_their_own(server: Server, files: tuple[Path, Path]) -> None:
    """Connections of different versions take turns."""
    versions = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3] * 4
    seen: list[tuple[int, int]] = []

    def ask(version: ssl.TLSVersion) -> None:
        context = ssl.create_default_context(cafile=str(files[0]))
        context.minimum_version = context.maximum_version = version
        with Client(dial(context, server.port)) as client:
            seen.extend((version.value, told(client)["tls_version"]) for _ in range(20))

    threads = [threading.Thread(target=ask, args=[version]) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 160 and all(wanted == got for wanted, got in seen)


@dataclass(frozen=True)
class Certified:
    """A client's certificate, with those that signed it, and a server's options to ask for it."""

    options: tuple[str, ...]
    own: Path
    key: Path
    signer: Path


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory, files: tuple[Path, Path]) -> Certified:
    """Return a certificate whose name has what must be escaped, signed by an authority in between."""
    directory = tmp_path_factory.mktemp("clients")
    root = Authority(directory / "root", "Tests")
    signer = Authority(directory / "signer", "Signer", root)
    own, key = signer.issue("client", subject="/C=CZ/O=Luči, s.r.o./CN=Jiří \\+1")
    chain = directory / "chain.pem"
    chain.write_text(own.read_text() + signer.certificate.read_text())
    options = ("--ssl-certfile", str(files[0]), "--ssl-keyfile", str(files[1]), "--ssl-cert-reqs", "1")
    ours = ("--ssl-ca-certs", str(root.certificate), "--ssl-cert-errors", "tell")
    return Certified((*options, *ours), chain, key, signer.certificate)


def test_E8_certificate_of_the_client(
    shared: Serve, library: str, context: ssl.SSLContext, certified: Certified
) -> None:
    """The chain begins with the client's own; the name is as RFC 4514 has it."""
    server = shared(APP, library, *certified.options)
    context.load_cert_chain(certified.own, certified.key)
    with Client(dial(context, server.port)) as client:
        first, second = told(client), told(client)
    assert first == second
    assert "".join(first["client_cert_chain"]) == certified.own.read_text()
    assert first["client_cert_name"] == "CN=Jiří \\+1,O=Luči\\, s.r.o.,C=CZ"
    assert first["client_cert_error"] is None
    assert first_message(context, server.port)["extensions"]["tls"] == first


def test_E8_certificate_that_is_not_good(
    shared: Serve, library: str, context: ssl.SSLContext, files: tuple[Path, Path], certified: Certified
) -> None:
    """It is told why, where the server is to serve such clients; those without a certificate are served, too."""
    server = shared(APP, library, *certified.options)
    with Client(dial(context, server.port)) as client:
        assert told(client)["client_cert_chain"] == []
    context.load_cert_chain(*files)
    with Client(dial(context, server.port)) as client:
        extension = told(client)
    assert extension["client_cert_chain"] == [files[0].read_text()]
    assert extension["client_cert_name"] == "CN=localhost"
    assert extension["client_cert_error"] == "self-signed certificate"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_E8_session_that_goes_on(
    shared: Serve, library: str, context: ssl.SSLContext, certified: Certified, version: ssl.TLSVersion
) -> None:
    """A client that comes back with its session is told of as before, with all of its chain."""
    server = shared(APP, library, *certified.options)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(certified.own, certified.key)
    with Client(dial(context, server.port)) as client:
        first = told(client)
        session = its_session(client.socket)  # type: ignore[arg-type]
    with Client(dial(context, server.port, session=session)) as client:
        again = told(client)
    assert again == first and len(again["client_cert_chain"]) == 2
