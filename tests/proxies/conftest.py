"""Servers as ``tests/asgi`` starts them, with proxies in front."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ASGI = Path(__file__).resolve().parents[1] / "asgi"
sys.path.insert(0, str(ASGI))

from command import Command  # noqa: E402  # it is found by the line above
from fronts import Front  # noqa: E402

Serve = Callable[..., Command]
Proxy = Callable[..., Front]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve(*options, app=…)``: an application that answers with its scope, or another, with these options."""
    servers: list[Command] = []

    def start(*options: str, app: str = "proxied:app") -> Command:
        directory = tmp_path / f"server{len(servers)}"
        directory.mkdir()
        servers.append(Command(directory, app, "--app-dir", str(ASGI / "apps"), *options))
        servers[-1].wait_ready()
        return servers[-1]

    yield start
    running = [server for server in servers if server.process.poll() is None]
    for server in running:
        server.send_signal(signal.SIGTERM)
    codes = [server.wait() for server in running]
    assert not any(codes), codes


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Proxy]:
    """``front(program, configuration, port)``: a proxy that runs while the test does."""
    fronts: list[Front] = []

    def start(program: str, rest: str, port: int, host: str = "127.0.0.1") -> Front:
        directory = tmp_path / f"front{len(fronts)}"
        directory.mkdir()
        fronts.append(Front(program, directory, rest, port, host))
        return fronts[-1]

    yield start
    for one in fronts:
        one.stop()
