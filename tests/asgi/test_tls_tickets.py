"""Sessions that are resumed by tickets: by whom, for how long, and what that must not get around."""

from __future__ import annotations

import json
import shutil
import signal
import ssl
import time
from pathlib import Path

import pytest
from authority import Authority
from harness import Serve, Server, until
from tls_client import alert, client, dial, exchange, its_session

from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_tls(), reason="TLS is not built in")

Pair = tuple[Path, Path]


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates."""
    return Authority(tmp_path_factory.mktemp("tickets") / "ca", "Tests")


@pytest.fixture(scope="session")
def options(ours: Authority) -> tuple[str, ...]:
    """Return the options of a server with a certificate."""
    certificate, key = ours.issue("localhost", "localhost")
    return ("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key))


def session_of(context: ssl.SSLContext, port: int) -> ssl.SSLSession:
    """Return a session of a connection that had a request answered."""
    with dial(context, port) as connection:
        assert not connection.session_reused
        assert exchange(connection).startswith(b"HTTP/1.1 200 ")
        session = its_session(connection)
        assert session is not None
        return session


def resumes(context: ssl.SSLContext, port: int, session: ssl.SSLSession) -> bool:
    """Tell whether a server resumes a session; a request is answered in any case."""
    with dial(context, port, session=session) as connection:
        assert exchange(connection).startswith(b"HTTP/1.1 200 ")
        return bool(connection.session_reused)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_session_is_resumed(
    shared: Serve, library: str, ours: Authority, options: tuple[str, ...], version: str
) -> None:
    server = shared("proxied:app", library, *options)
    context = client(ours.certificate, version)
    session = session_of(context, server.port)
    assert resumes(context, server.port, session)
    assert session.has_ticket and 3500 <= session.ticket_lifetime_hint <= 3600


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_nothing_is_resumed_where_it_is_switched_off(
    own: Serve, library: str, ours: Authority, options: tuple[str, ...], version: str
) -> None:
    server = own("proxied:app", library, *options, "--no-ssl-session-tickets")
    context = client(ours.certificate, version)
    with dial(context, server.port) as connection:
        exchange(connection)
        session = its_session(connection)
    assert session is None or not session.has_ticket
    assert session is None or not resumes(context, server.port, session)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_ticket_of_another_server_begins_a_new_session(
    own: Serve, library: str, ours: Authority, options: tuple[str, ...], version: str
) -> None:
    """Each has a seed of its own."""
    first, second = (own("proxied:app", library, *options) for _ in range(2))
    context = client(ours.certificate, version)
    assert not resumes(context, second.port, session_of(context, first.port))


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_keys_change_and_the_last_two_are_taken(
    own: Serve, library: str, ours: Authority, options: tuple[str, ...], version: str
) -> None:
    server = own("proxied:app", library, *options, "--ssl-ticket-lifetime", "2")
    context = client(ours.certificate, version)
    time.sleep(2 - time.time() % 2 + 1)  # the middle of a period
    session = session_of(context, server.port)
    time.sleep(1.5)  # the next one
    assert resumes(context, server.port, session)
    time.sleep(2.5)  # the one after that
    assert not resumes(context, server.port, session)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_workers_take_the_tickets_of_each_other(
    own: Serve, library: str, ours: Authority, options: tuple[str, ...], version: str
) -> None:
    """Also those that were given before workers were replaced."""
    server = own("crew:app", library, *options, "--workers", "2")
    context = client(ours.certificate, version)
    request = b"GET /pid HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with dial(context, server.port) as connection:
        exchange(connection, request)
        session = its_session(connection)
    assert session is not None

    def all_resume() -> set[int]:
        seen = set()
        for _ in range(30):
            with dial(context, server.port, session=session) as connection:
                answer = exchange(connection, request)
                assert connection.session_reused
            seen.add(json.loads(answer.rpartition(b"\r\n")[2])["pid"])
        return seen

    before = all_resume()
    assert len(before) == 2
    server.send_signal(signal.SIGHUP)
    until(lambda: server.log().count("has ended with exit code 0") == 2, "workers are replaced")
    after = all_resume()
    assert len(after) == 2 and not before & after


def facts(answer: bytes) -> dict[str, object]:
    """Return what an application was told of TLS."""
    told: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])["extensions"]["tls"]
    return told


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("alone", [True, False])
def test_application_is_told_the_same_again(
    own: Serve, library: str, ours: Authority, options: tuple[str, ...], version: str, alone: bool
) -> None:
    """A ticket holds the client's own certificate; a client that has sent more begins a new session."""
    asks = ("--ssl-cert-reqs", "2", "--ssl-ca-certs", str(ours.certificate))
    server = own("proxied:app", library, *options, *asks)
    certificate, key = ours.issue("somebody")
    if not alone:
        certificate.write_text(certificate.read_text() + ours.certificate.read_text())
    context = client(None, version, (certificate, key))
    with dial(context, server.port) as connection:
        first = facts(exchange(connection))
        session = its_session(connection)
    with dial(context, server.port, session=session) as connection:
        second = facts(exchange(connection))
        assert connection.session_reused == alone
    assert first == second
    assert first["client_cert_name"] == "CN=somebody" and first["client_cert_error"] is None
    assert len(first["client_cert_chain"]) == (1 if alone else 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("change", ["revoked", "authority", "expired"])
def test_ticket_does_not_get_around_verification(
    own: Serve, library: str, tmp_path: Path, version: str, change: str
) -> None:
    """The certificate is verified anew, by what holds now; the ticket's key is the same."""
    ours, other = Authority(tmp_path / "ca", "Tests"), Authority(tmp_path / "other", "Strangers")
    certificate, key = ours.issue("localhost", "localhost")
    trusted, lists = tmp_path / "trusted.pem", tmp_path / "lists.pem"
    shutil.copy(ours.certificate, trusted)
    shutil.copy(ours.revoked(), lists)
    files = ("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key), "--ssl-crl", str(lists))
    asks = ("--ssl-cert-reqs", "2", "--ssl-ca-certs", str(trusted), "--ssl-reload")
    server = own("proxied:app", library, *files, *asks)
    client_pair = ours.issue("somebody", ends=5 if change == "expired" else 86400)
    over = time.monotonic() + 6
    context = client(None, version, client_pair)
    session = session_of(context, server.port)
    assert resumes(context, server.port, session)
    if change == "revoked":
        ours.revoke(client_pair[0])
        replace(lists, ours.revoked("later.pem"))
        wait_for_reading(server)
    elif change == "authority":
        replace(trusted, other.certificate)
        replace(lists, other.revoked())
        wait_for_reading(server)
    else:
        time.sleep(max(over - time.monotonic(), 0))
    alerts = {"revoked": "certificate revoked", "authority": "unknown ca", "expired": "certificate expired"}
    with (
        pytest.raises(ssl.SSLError, match=f"alert {alerts[change]}"),
        dial(context, server.port, session=session) as connection,
    ):
        exchange(connection)
    assert alert(context, server.port) == alerts[change]


def replace(path: Path, content: Path) -> None:
    """Put a file in another's place, at once."""
    new = path.with_suffix(".new")
    shutil.copy(content, new)
    new.replace(path)


def wait_for_reading(server: Server) -> None:
    """Wait until the server has read its files again."""
    until(lambda: "were read again" in server.log(), "the files are read")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_certificate_that_is_not_good_is_not_resumed(
    own: Serve, library: str, ours: Authority, options: tuple[str, ...], version: str
) -> None:
    """Where the application judges, it is told of the error in each session."""
    asks = ("--ssl-cert-reqs", "1", "--ssl-ca-certs", str(ours.certificate), "--ssl-cert-errors", "tell")
    server = own("proxied:app", library, *options, *asks)
    context = client(ours.certificate, version, ours.issue("late", begins=-7200, ends=-3600))
    with dial(context, server.port) as connection:
        told = facts(exchange(connection))
        session = its_session(connection)
    assert told["client_cert_error"] == "certificate has expired"
    with dial(context, server.port, session=session) as connection:
        assert facts(exchange(connection)) == told
        assert not connection.session_reused
