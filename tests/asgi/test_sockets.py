"""Sockets of every kind that the command listens on, and what becomes of their files."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Run, fails, open_url
from harness import APPS

APP = "statements:app"
HERE = ("--app-dir", str(APPS))


def test_empty_host_is_every_address(run: Run, library: str) -> None:
    server = run(APP, *HERE, "--host", "", "--port", "0", "--async-library", library)
    server.wait_ready()
    port = server.urls()[0].rpartition(":")[2]
    for host in ("127.0.0.1", "[::1]"):
        with open_url(f"http://{host}:{port}") as client:
            scope = client.ask(target="/scope").json()
            assert scope["client"] == list(client.socket.getsockname()[:2]), "not as the client sees itself"


def test_access_log_and_scope_of_a_unix_socket(run: Run, library: str, tmp_path: Path) -> None:
    """There is no address of a client."""
    path = tmp_path / "server.sock"
    server = run(APP, *HERE, "--uds", str(path), "--async-library", library)
    assert server.ask(target="/scope").json()["client"] is None
    assert server.stop() == 0
    assert server.access() == 'INFO:     - - "GET /scope HTTP/1.1" 200 OK\n'


def test_stale_socket_hands_on_its_mode(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    path.chmod(0o640)
    run(APP, *HERE, "--uds", str(path)).wait_ready()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_socket_of_a_successor_is_left_alone(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    first = run(APP, *HERE, "--uds", str(path))
    first.wait_ready()
    path.unlink()
    second = run(APP, *HERE, "--uds", str(path))
    second.wait_ready()
    assert first.stop() == 0
    assert second.ask(target="/scope").status == 200
    assert second.stop() == 0 and not path.exists()


def test_socket_is_removed_after_a_failed_start(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    fails("lifespans:failing", "--uds", str(path), "--no-access-log", code=3)
    assert not path.exists()


def test_inherited_unix_socket(run: Run, library: str, tmp_path: Path) -> None:
    """H9: the server is the socket's path; the file belongs to whoever made it."""
    path = tmp_path / "inherited.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        fd = listener.fileno()
        server = run(APP, *HERE, "--fd", str(fd), "--async-library", library, inherited=(fd,))
        server.wait_ready()
    with open_url(f"unix:{path}") as client:
        scope = client.ask(target="/scope").json()
    assert scope["server"] == [str(path), None] and scope["client"] is None
    assert server.stop() == 0
    assert path.exists()


def test_inherited_socket_need_not_listen_yet(run: Run) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        server = run(APP, *HERE, "--fd", str(bound.fileno()), inherited=(bound.fileno(),))
        server.wait_ready()
    with open_url(f"http://127.0.0.1:{port}") as client:
        assert client.ask(target="/scope").json()["server"] == ["127.0.0.1", port]


@pytest.mark.parametrize("kind", ["datagram", "closed"])
def test_descriptor_that_cannot_listen_is_one_line(kind: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        fd = datagram.fileno() if kind == "datagram" else 987
        (line,) = fails(APP, "--fd", str(fd), code=3, inherited=(fd,) if kind == "datagram" else ())
    assert f"descriptor {fd}" in line and "--fd" in line.partition(";")[2]


SCRIPT = """
import sys
import tricorn
sys.path.insert(0, sys.argv[1])
import statements
sys.exit(tricorn.run(statements.app, port=0, async_library=sys.argv[2], access_log=False))
"""


@pytest.fixture
def script(library: str) -> Iterator[subprocess.Popen[str]]:
    """A program that calls ``tricorn.run``."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(APPS), library],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        yield process
        process.kill()


def test_run_from_python(script: subprocess.Popen[str], library: str) -> None:
    assert script.stderr is not None
    line = next(line for line in script.stderr if "running on" in line)
    url = re.search(r"http://\S+", line)
    assert url and f"({library}" in line
    with open_url(url[0]) as client:
        assert client.ask("POST", "/echo", b"body").body == b"body"
    script.send_signal(signal.SIGTERM)
    assert script.wait(15) == 0
    assert "Traceback" not in script.stderr.read()
