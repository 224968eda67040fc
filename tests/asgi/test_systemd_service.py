"""A service of systemd's: sockets that it passes, and what it is told, by a manager made up for the test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import Run, open_url
from harness import APPS, TIMEOUT, until

NONE_TOO = True
HERE = ("--app-dir", str(APPS))


class Manager:
    """Receives notices."""

    def __init__(self, path: Path) -> None:
        self.environment = {"NOTIFY_SOCKET": str(path)}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(TIMEOUT)

    def receive(self) -> dict[str, str]:
        """Return the next notice."""
        lines = self._socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def is_silent(self, seconds: float) -> bool:
        """Tell whether nothing comes for so long."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(TIMEOUT)
        return False

    def close(self) -> None:
        """Receive no more."""
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A manager."""
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def test_is_told_of_start_and_stop(run: Run, library: str, manager: Manager) -> None:
    """When it says that it is ready, it answers."""
    options = ("--port", "0", "--async-library", library)
    server = run("wire:app", *HERE, *options, environment=manager.environment)
    ready = manager.receive()
    assert (ready["READY"], ready["MAINPID"]) == ("1", str(server.process.pid))
    assert ready["STATUS"] == f"Serving wire:app on {server.urls()[0]}"
    assert server.ask(target="/hello").status == 200
    assert server.stop() == 0
    assert manager.receive()["STOPPING"] == "1"
    assert manager.is_silent(0.1)


def test_a_start_that_fails_is_not_ready(run: Run, manager: Manager) -> None:
    server = run("lifespans:failing", *HERE, "--port", "0", environment=manager.environment)
    assert server.wait() == 3
    assert manager.is_silent(0.1)


HANGING = """
import time

async def app(scope, receive, send):
    assert scope["type"] == "http"
    time.sleep(float(scope["query_string"]))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})
"""


def test_signs_of_life_come_from_the_loop(run: Run, library: str, manager: Manager, tmp_path: Path) -> None:
    """They come while it serves, and while it is stopping; none comes while the application holds the loop."""
    (tmp_path / "hanging.py").write_text(HANGING)
    options = ("--app-dir", str(tmp_path), "--port", "0", "--async-library", library)
    environment = {**manager.environment, "WATCHDOG_USEC": "200000"}
    server = run("hanging:app", *options, environment=environment)
    beats = [manager.receive() for _ in range(5)]
    assert sum("WATCHDOG" in beat for beat in beats) == 4 and sum("READY" in beat for beat in beats) == 1
    with server.connect() as client:
        client.send(b"GET /?1.5 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.5)
        while not manager.is_silent(0.01):
            pass
        assert manager.is_silent(0.4)
        assert client.answer().status == 200
    assert manager.receive() == {"WATCHDOG": "1"}
    assert server.stop() == 0


def test_no_signs_of_life_for_the_watchdog_of_another(run: Run, manager: Manager) -> None:
    environment = {**manager.environment, "WATCHDOG_USEC": "50000", "WATCHDOG_PID": "1"}
    server = run("wire:app", *HERE, "--port", "0", environment=environment)
    assert "READY" in manager.receive()
    assert manager.is_silent(0.3)
    assert server.stop() == 0


# What systemd does before it starts the service: the sockets are 3 and those that follow, and the variables are set.
ACTIVATE = """
import os, sys
number = int(sys.argv[1])
os.dup2(number, 3)
if number != 3:
    os.close(number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web.socket")
os.execv(sys.executable, [sys.executable, "-m", "tricorn", *sys.argv[2:]])
"""

Activate = Callable[..., str]


@pytest.fixture
def activate() -> Iterator[Activate]:
    """``activate(*arguments)``: the URL of a service that is started with a socket."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> str:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            number = listener.fileno()
            command = [sys.executable, "-c", ACTIVATE, str(number), *arguments]
            env = {**os.environ, "UVICORN_HOST": "192.0.2.1"}
            started.append(subprocess.Popen(command, pass_fds=[number], env=env))
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for process in started:
        process.terminate()
        assert process.wait(TIMEOUT) == 0


def test_socket_activation(activate: Activate, library: str) -> None:
    """A socket that was passed is listened on, and requests that came before the service wait in it."""
    url = activate("statements:app", *HERE, "--async-library", library)
    with open_url(url) as client:
        host, port = client.socket.getpeername()
        assert client.ask(target="/scope").json()["server"] == [host, port]


def test_an_address_of_the_command_line_counts_before_the_socket(activate: Activate, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    activate("wire:app", *HERE, "--uds", str(path))

    def listens() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(path)) == 0

    until(listens, "the server listens")
    with open_url(f"unix:{path}") as client:
        assert client.ask(target="/hello").status == 200
