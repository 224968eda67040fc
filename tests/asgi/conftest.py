"""Servers for the black-box tests: one for each application, library and set of options, shared by a module's tests."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import frames
import harness
import parsers
import pytest
import secure
import turns
from command import Command, Run
from harness import LIBRARIES, Serve, Server


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests be run with other parsers than the one in C, and with other makers of frames."""
    parser.addoption("--http", choices=harness.PARSERS, default="tricorn", help="what reads the requests")
    parser.addoption(
        "--ws", choices=harness.FRAMES, default="tricorn", help="what makes the frames of WebSockets"
    )
    parser.addoption("--tls", action="store_true", help="speak TLS with the servers")
    parser.addoption(
        "--http2", action="store_true", help="ask over HTTP/2 where a test has no need of another"
    )
    parser.addoption("--libraries", default=",".join(LIBRARIES), help="the async libraries, with commas")


def pytest_configure(config: pytest.Config) -> None:
    """Have the servers use them, and take hang-ups also where the tests run under nohup."""
    config.addinivalue_line("markers", turns.MARK)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    harness.parser = config.getoption("--http")
    harness.http2 = config.getoption("--http2")
    harness.frames = config.getoption("--ws")
    if config.getoption("--tls"):
        harness.more_options = secure.options()
        harness.wrap = cast("Callable[[socket.socket], socket.socket]", secure.SecureSocket)


@pytest.hookimpl(trylast=True)  # what -k leaves out is not there any more
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the parser or the library of frames does otherwise; tests of its own show how it does.

    Tests whose cases take turns on the libraries are left on one each.
    """
    out = turns.left_out(items)
    config.hook.pytest_deselected(items=list(out))
    items[:] = [item for item in items if item not in out]
    for item in items:
        reason = (
            parsers.difference(harness.parser, item.name)
            or frames.difference(harness.frames, item.name)
            or parsers.needs_a_library(item.name)
            or (harness.http2 and harness.HTTP1_ONLY.get(item.name.partition("[")[0]))
            or (secure.difference(item.name) if harness.wrap is not None else None)
        )
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests on each library; on ``none``, too, where the module says ``NONE_TOO = True``."""
    if "library" in metafunc.fixturenames:
        none = ["none"] if getattr(metafunc.module, "NONE_TOO", False) else []
        libraries = metafunc.config.getoption("--libraries").split(",")
        metafunc.parametrize("library", [*libraries, *none], indirect=True, scope="session")


@pytest.fixture(scope="session")
def library(request: pytest.FixtureRequest) -> str:
    """The async library that the test's servers run on."""
    return str(request.param)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """``shared(app, library, *options)``: a server that other tests of the module use, too.

    At the end of the module it must still run, stop with code 0, and its log must hold no alarm.
    """
    servers: dict[tuple[str, ...], Server] = {}

    def serve(app: str, library: str, *options: str) -> Server:
        key = (app, library, *options)
        if key not in servers:
            servers[key] = Server(app, library, tmp_path_factory.mktemp("server"), *options)
            servers[key].wait_ready()
        return servers[key]

    yield serve
    try:
        for server in servers.values():
            assert server.process.poll() is None, f"the server ended by itself\n{server.log()}"
            assert server.stop() == 0, server.log()
    finally:
        for server in servers.values():
            server.kill()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Serve]:
    """``own(app, library, *options, environment=…)``: a server for this test alone, which may stop it."""
    servers: list[Server] = []

    def serve(
        app: str, library: str, *options: str, ready: bool = True, environment: dict[str, str] | None = None
    ) -> Server:
        directory = tmp_path / str(len(servers))
        directory.mkdir()
        servers.append(Server(app, library, directory, *options, environment=environment))
        if ready:
            servers[-1].wait_ready()
        return servers[-1]

    yield serve
    for server in servers:
        server.kill()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """``run(*arguments, …)``: the command with these arguments."""
    commands: list[Command] = []

    def start(*arguments: str, **more: object) -> Command:
        directory = tmp_path / f"logs{len(commands)}"
        directory.mkdir()
        commands.append(Command(directory, *arguments, **more))  # type: ignore[arg-type]
        return commands[-1]

    yield start
    for command in commands:
        command.kill()
