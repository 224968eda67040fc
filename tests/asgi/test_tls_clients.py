"""Certificates of clients: whose are taken, what others are told, and what the log says."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from authority import Authority
from harness import Serve, Server, until
from tls_client import alert, client, dial, exchange

from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_tls(), reason="TLS is not built in")

Pair = tuple[Path, Path]


@dataclass(frozen=True)
class World:
    """Who there is."""

    ours: Authority
    server: Pair
    clients: dict[str, Pair | None]
    revoked: Path
    options: tuple[str, ...]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a server's certificate, and clients with good ones and others."""
    directory = tmp_path_factory.mktemp("clients")
    ours, other = Authority(directory / "ours", "Tests"), Authority(directory / "other", "Strangers")
    server = ours.issue("localhost", "localhost", "IP:127.0.0.1")
    clients: dict[str, Pair | None] = {
        "none": None,
        "good": ours.issue("good"),
        "expired": ours.issue("expired", begins=-7200, ends=-3600),
        "early": ours.issue("early", begins=3600),
        "other": other.issue("other"),
        "revoked": ours.issue("revoked"),
    }
    revoked = clients["revoked"]
    assert revoked is not None
    ours.revoke(revoked[0])
    options = ("--ssl-certfile", str(server[0]), "--ssl-keyfile", str(server[1]))
    return World(ours, server, clients, ours.revoked(), options)


def asks(world: World, how: int) -> tuple[str, ...]:
    """Return the options of a server that asks for certificates in one of uvicorn's ways."""
    if how == 0:
        return world.options
    authority = ("--ssl-ca-certs", str(world.ours.certificate), "--ssl-crl", str(world.revoked))
    return (*world.options, "--ssl-cert-reqs", str(how), *authority)


@pytest.fixture
def start(shared: Serve, library: str, world: World) -> Serve:
    """``start(how, *options)``: a server that asks for certificates so, shared with other tests."""

    def serve(how: int, *options: str) -> Server:
        server = shared("proxied:app", library, *asks(world, how), *options)
        server.wait_ready()
        return server

    return serve


ALERTS = {
    ("none", "1.2"): "handshake failure",
    ("none", "1.3"): "certificate required",
    "expired": "certificate expired",
    "early": "bad certificate",
    "other": "unknown ca",
    "revoked": "certificate revoked",
}
REASONS = {
    "none": "the client has no certificate",
    "expired": "the client's certificate has expired",
    "early": "the client's certificate is not good yet",
    "other": "who signed the client's certificate is not known",
    "revoked": "the client's certificate was revoked",
}


def is_served(how: int, who: str) -> bool:
    """Tell whether a client is to be served."""
    return how == 0 or who == "good" or (who == "none" and how == 1)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("who", ["none", "good", "expired", "early", "other", "revoked"])
@pytest.mark.parametrize("how", [0, 1, 2])
def test_client_is_served_or_told_why_not(
    start: Serve, world: World, how: int, who: str, version: str
) -> None:
    server = start(how)
    context = client(world.ours.certificate, version, world.clients[who])
    line = f"the TLS handshake failed: {REASONS.get(who)}"
    before = server.log().count(line)
    told = alert(context, server.port)
    if is_served(how, who):
        assert told == ""
        assert server.log().count("the TLS handshake failed") == server.log().count("failed: ")
        return
    assert told == (ALERTS.get(who) or ALERTS[who, version])
    until(lambda: server.log().count(line) == before + 1, line)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("who", ["none", "good", "expired", "other", "revoked"])
def test_where_the_application_judges_everybody_is_served(
    start: Serve, world: World, who: str, version: str
) -> None:
    server = start(1, "--ssl-cert-errors", "tell")
    assert alert(client(world.ours.certificate, version, world.clients[who]), server.port) == ""


def test_signer_between_is_taken_from_the_client(
    own: Serve, library: str, world: World, tmp_path: Path
) -> None:
    """Its chain leads to an authority of the file; without the one between it does not."""
    middle = Authority(tmp_path / "middle", "Between", world.ours)
    leaf, key = middle.issue("far")
    chain = tmp_path / "chain.pem"
    chain.write_text(leaf.read_text() + middle.certificate.read_text())
    options = ("--ssl-cert-reqs", "2", "--ssl-ca-certs", str(world.ours.certificate))
    server = own("proxied:app", library, *world.options, *options)
    assert alert(client(world.ours.certificate, "1.3", (chain, key)), server.port) == ""
    assert alert(client(world.ours.certificate, "1.3", (leaf, key)), server.port) == "unknown ca"


def test_every_signer_needs_a_list(own: Serve, library: str, world: World, tmp_path: Path) -> None:
    middle = Authority(tmp_path / "middle", "Between", world.ours)
    leaf, key = middle.issue("far")
    chain = tmp_path / "chain.pem"
    chain.write_text(leaf.read_text() + middle.certificate.read_text())
    context = client(world.ours.certificate, "1.3", (chain, key))
    half = own("proxied:app", library, *asks(world, 2))
    assert alert(context, half.port) == "unknown ca"
    until(lambda: "there is no list (--ssl-crl) of who signed" in half.log(), "the log says why")
    whole = own("proxied:app", library, *asks(world, 2), "--ssl-crl", str(middle.revoked()))
    assert alert(context, whole.port) == ""
    middle.revoke(leaf)
    later = own("proxied:app", library, *asks(world, 2), "--ssl-crl", str(middle.revoked("later.pem")))
    assert alert(context, later.port) == "certificate revoked"


def test_lowest_version_and_ciphers_are_as_asked(own: Serve, library: str, world: World) -> None:
    modern = own("proxied:app", library, *world.options, "--ssl-min-version", "1.3")
    assert alert(client(world.ours.certificate, "1.2"), modern.port) == "protocol version"
    assert alert(client(world.ours.certificate, "1.3"), modern.port) == ""
    only = own("proxied:app", library, *world.options, "--ssl-version", "5")
    with dial(client(world.ours.certificate), only.port) as connection:
        assert connection.version() == "TLSv1.2"
        assert exchange(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("version", "ciphers", "chosen"),
    [
        ("1.2", "ECDHE+AES256:ECDHE+AES128", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("1.2", "TLSv1", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("1.3", "TLS_CHACHA20_POLY1305_SHA256:ECDHE+AES128", "TLS_CHACHA20_POLY1305_SHA256"),
    ],
)
def test_ciphers_are_those_of_the_option(
    own: Serve, library: str, world: World, version: str, ciphers: str, chosen: str
) -> None:
    """A client that names one of each, the other first, gets what the server has."""
    server = own("proxied:app", library, *world.options, "--ssl-ciphers", ciphers)
    context = client(world.ours.certificate, version)
    context.set_ciphers("ECDHE+AESGCM")
    with dial(context, server.port) as connection:
        assert connection.cipher()[0] == chosen  # type: ignore[index]


@pytest.mark.parametrize("cipher", ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-CCM"])
def test_cipher_that_is_not_of_the_profile_is_not_spoken(start: Serve, world: World, cipher: str) -> None:
    context = client(world.ours.certificate, "1.2")
    context.set_ciphers(cipher)
    server = start(0)
    before = server.log().count("no cipher suite in common")
    with pytest.raises(ssl.SSLError, match="alert handshake failure"):
        dial(context, server.port)
    until(lambda: server.log().count("no cipher suite in common") > before, "the log says why")
