"""Several certificates: a client gets the one for the host that it names."""

from __future__ import annotations

import json
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from authority import Authority
from harness import Serve, Server
from tls_client import client, dial, exchange

from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_tls(), reason="TLS is not built in")

Got = Callable[..., list[str]]


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs them."""
    return Authority(tmp_path_factory.mktemp("names") / "ca", "Tests")


def names_of(connection: ssl.SSLSocket) -> list[str]:
    """Return the hosts in the certificate that a server has shown."""
    found = connection.getpeercert()
    assert found is not None
    return [str(value) for _, value in found["subjectAltName"]]


def got(ours: Authority, server: Server, name: str, version: str = "", ciphers: str = "") -> list[str]:
    """Return the hosts in the certificate that a client gets who names one."""
    context = client(ours.certificate, version)
    context.check_hostname = False
    if ciphers:
        context.set_ciphers(ciphers)
    with dial(context, server.port, name) as connection:
        hosts = names_of(connection)
        answer = exchange(connection)
    seen = json.loads(answer.partition(b"\r\n\r\n")[2])["extensions"]["tls"]["server_cert"]
    assert ssl.PEM_cert_to_DER_cert(seen) == connection_certificate(ours, server, name, version, ciphers)
    return hosts


def connection_certificate(ours: Authority, server: Server, name: str, version: str, ciphers: str) -> bytes:
    """Return the certificate that a client gets."""
    context = client(ours.certificate, version)
    context.check_hostname = False
    if ciphers:
        context.set_ciphers(ciphers)
    with dial(context, server.port, name) as connection:
        return connection.getpeercert(binary_form=True) or b""


def options(ours: Authority, *pairs: tuple[Path, Path]) -> tuple[str, ...]:
    """Return the options of a server: the first certificate is its own."""
    own, *more = pairs
    rest = [text for cert, key in more for text in ("--ssl-sni-cert", f"{cert}:{key}")]
    return ("--ssl-certfile", str(own[0]), "--ssl-keyfile", str(own[1]), *rest)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_client_gets_the_certificate_for_its_host(
    own: Serve, library: str, ours: Authority, version: str
) -> None:
    pairs = (
        ours.issue("localhost", "localhost", "own.example"),
        ours.issue("a", "a.example", "*.a.example"),
        ours.issue("b", "b.example", "own.example"),
        ours.issue("wild", "*.wild.example", "*.example"),
        ours.issue("only-a-subject.example"),
    )
    server = own("proxied:app", library, *options(ours, *pairs))
    default = ["localhost", "own.example"]
    expected = {
        "localhost": default,
        "own.example": default,  # of two the first
        "a.example": ["a.example", "*.a.example"],
        "A.Example": ["a.example", "*.a.example"],
        "x.a.example": ["a.example", "*.a.example"],
        "x.y.a.example": default,  # * is one label
        "b.example": ["b.example", "own.example"],
        "c.wild.example": ["*.wild.example", "*.example"],
        "c.example": default,  # * is not taken for all of what is below a top-level domain
        "example": default,
        "elsewhere.test": default,
    }
    assert {name: got(ours, server, name, version) for name in expected} == expected


def test_certificate_for_each_kind_of_key(own: Serve, library: str, ours: Authority) -> None:
    """A host may have several; which one a client gets is decided by what it can check."""
    pairs = (
        ours.issue("localhost", "localhost"),
        ours.issue("rsa", "two.example", "rsa.example", kind="rsa"),
        ours.issue("ec", "two.example", "ec.example"),
    )
    server = own("proxied:app", library, *options(ours, *pairs))
    assert got(ours, server, "two.example", "1.2", "ECDHE-RSA-AES128-GCM-SHA256") == [
        "two.example",
        "rsa.example",
    ]
    assert got(ours, server, "two.example", "1.2", "ECDHE-ECDSA-AES128-GCM-SHA256") == [
        "two.example",
        "ec.example",
    ]


def test_directory_of_certificates(own: Serve, library: str, ours: Authority, tmp_path: Path) -> None:
    """In each form that it may have."""
    directory = tmp_path / "certificates"
    for where, certificate, key in (
        ("", "a.pem", ""),
        ("", "b.crt", "b.key"),
        ("c.example", "fullchain.pem", "privkey.pem"),
        ("d", "tls.crt", "tls.key"),
    ):
        (directory / where).mkdir(parents=True, exist_ok=True)
        host = f"{(where or certificate)[0]}.example"
        cert_file, key_file = ours.issue(host, host)
        if key:
            shutil.copy(cert_file, directory / where / certificate)
            shutil.copy(key_file, directory / where / key)
        else:
            (directory / certificate).write_text(cert_file.read_text() + key_file.read_text())
    (directory / "README").write_text("not a certificate")
    (directory / "empty").mkdir()
    first = options(ours, ours.issue("localhost", "localhost"))
    server = own("proxied:app", library, *first, "--ssl-cert-dir", str(directory))
    for letter in "abcd":
        assert got(ours, server, f"{letter}.example") == [f"{letter}.example"]
    assert got(ours, server, "e.example") == ["localhost"]


def test_client_that_names_nobody_gets_the_servers_own(own: Serve, library: str, ours: Authority) -> None:
    server = own(
        "proxied:app",
        library,
        *options(ours, ours.issue("localhost", "localhost"), ours.issue("a", "a.example")),
    )
    context = client(ours.certificate)
    context.check_hostname = False
    with dial(context, server.port, None) as connection:
        assert names_of(connection) == ["localhost"]
