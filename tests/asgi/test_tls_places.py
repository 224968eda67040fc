"""Where TLS is spoken: at Unix sockets, by servers inside programs, and by what is said of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from authority import Authority
from harness import APPS, TIMEOUT, Serve, until
from tls_client import REQUEST, client, dial, exchange

import tricorn
from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_tls(), reason="TLS is not built in")


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates."""
    return Authority(tmp_path_factory.mktemp("places") / "ca", "Tests")


@pytest.fixture(scope="session")
def files(ours: Authority) -> dict[str, str]:
    """Return options with a certificate and its key, as Python has them."""
    certificate, key = ours.issue("localhost", "localhost")
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


def words(options: dict[str, str]) -> list[str]:
    """Return options as the command line has them."""
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]


def test_unix_socket_speaks_tls_as_well(
    run: Any, library: str, ours: Authority, files: dict[str, str], tmp_path: Path
) -> None:
    """As uvicorn's does; the scope is that of a Unix socket, with the scheme of TLS."""
    path = str(tmp_path / "socket")
    usual = ("proxied:app", "--app-dir", str(APPS), "--async-library", library, "--uds", path)
    run(*usual, *words(files)).wait_ready()
    plain = socket.socket(socket.AF_UNIX)
    plain.settimeout(TIMEOUT)
    plain.connect(path)
    with client(ours.certificate).wrap_socket(plain, server_hostname="localhost") as connection:
        answer = exchange(connection)
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"scheme": "https"' in answer
    with socket.socket(socket.AF_UNIX) as other:
        other.settimeout(TIMEOUT)
        other.connect(path)
        other.sendall(REQUEST)
        assert other.recv(100).startswith(b"HTTP/1.1 400 ")


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the scheme."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


def test_server_of_uvicorns_interface(ours: Authority, files: dict[str, str]) -> None:
    """With the values that programs give to uvicorn's."""
    config = tricorn.Config(
        app,
        port=0,
        lifespan="off",
        **files,  # type: ignore[arg-type]
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
        ssl_cert_reqs=ssl.CERT_REQUIRED,
        ssl_ca_certs=str(ours.certificate),
        ssl_ciphers="TLSv1",
    )
    config.load()
    assert config.is_ssl
    server = tricorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started, "it serves")
    port = server.servers[0].sockets[0].getsockname()[1]
    with dial(client(ours.certificate, "", ours.issue("somebody")), port) as connection:
        assert exchange(connection).endswith(b"https")
    with pytest.raises(ssl.SSLError), dial(client(ours.certificate), port) as connection:
        exchange(connection)
    server.should_exit = True
    thread.join(TIMEOUT)
    assert not thread.is_alive()


def test_server_in_a_task_reads_certificates_again(
    ours: Authority, files: dict[str, str], tmp_path: Path
) -> None:
    paths = tmp_path / "c.pem", tmp_path / "k.pem"
    for path, text in zip(paths, files.values(), strict=True):
        path.write_text(Path(text).read_text())
    new = ours.issue("localhost", "localhost")

    async def main() -> None:
        names = {"ssl_certfile": str(paths[0]), "ssl_keyfile": str(paths[1])}
        async with tricorn.running(app, port=0, lifespan="off", ssl_reload=True, **names) as server:
            port = int(server.urls[0].rpartition(":")[2])
            before = await asyncio.to_thread(shown, port)
            for path, other in zip(paths, new, strict=True):
                path.write_text(other.read_text())
            await asyncio.to_thread(until, lambda: shown(port) != before, "it is read")
            assert await asyncio.to_thread(shown, port) == ssl.PEM_cert_to_DER_cert(new[0].read_text())

    def shown(port: int) -> bytes:
        with dial(client(ours.certificate), port) as connection:
            return connection.getpeercert(binary_form=True) or b""

    asyncio.run(main())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_run_of_a_program(ours: Authority, files: dict[str, str], tmp_path: Path, workers: str) -> None:
    """The line at the start says where, in the words of clients."""
    program = f"import tricorn\ntricorn.run('proxied:app', port=0, workers={workers}, **{files!r})\n"
    log = tmp_path / "log"
    with log.open("wb") as error:
        process = subprocess.Popen([sys.executable, "-c", program], cwd=APPS, stdout=error, stderr=error)
    try:
        until(lambda: "Tricorn running on https://127.0.0.1:" in log.read_text(), "it serves")
        port = int(log.read_text().partition("https://127.0.0.1:")[2].split()[0])
        with dial(client(ours.certificate), port) as connection:
            assert exchange(connection).startswith(b"HTTP/1.1 200 ")
        process.terminate()
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()


def test_expired_certificate_is_told_once(own: Serve, library: str, ours: Authority) -> None:
    """It is served: a new one may be on its way."""
    certificate, key = ours.issue("localhost", "localhost", begins=-7200, ends=-3000)
    options = words({"ssl_certfile": str(certificate), "ssl_keyfile": str(key)})
    for more in ((), ("--workers", "2")):
        server = own("proxied:app", library, *options, *more)
        with dial(client(None), server.port) as connection:
            assert exchange(connection).startswith(b"HTTP/1.1 200 ")
        assert server.log().count("has expired 1 hour(s) ago: clients will refuse it") == 1, server.log()
