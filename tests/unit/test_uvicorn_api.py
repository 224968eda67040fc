"""Programs that were written for uvicorn, run with it and, after changing the import, with Tricorn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn

import tricorn


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{event}"
            await send({"type": f"lifespan.{event}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def make_app() -> Any:
    """Return the application: a factory."""
    return app


def get(url: str) -> bytes:
    """Fetch a URL."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
        return body


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def port_of(server: Any) -> int:
    """Return the port that the system chose, as tests of programs learn it."""
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


@pytest.fixture(params=[tricorn, uvicorn], ids=["tricorn", "uvicorn"])
def lib(request: pytest.FixtureRequest) -> Any:
    """The module that the program has imported."""
    return request.param


@contextlib.contextmanager
def in_thread(server: Any) -> Iterator[str]:
    """Run a server in a thread; gives its URL."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{port_of(server)}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def test_the_known_server_of_tests(lib: ModuleType) -> None:
    """A subclass that runs in a thread and waits until it has started."""

    class TestServer(lib.Server):  # type: ignore[name-defined,misc]
        def install_signal_handlers(self) -> None:
            pass

        @contextlib.contextmanager
        def run_in_thread(self) -> Iterator[None]:
            thread = threading.Thread(target=self.run)
            thread.start()
            try:
                while not self.started:
                    time.sleep(1e-3)
                yield
            finally:
                self.should_exit = True
                thread.join()

    server = TestServer(config=lib.Config(app, host="127.0.0.1", port=0, log_level="info"))
    with server.run_in_thread():
        assert get(f"http://127.0.0.1:{port_of(server)}/a") == b"/a"
        assert server.server_state.total_requests == 1


def test_a_server_in_a_task_that_overrides_startup(lib: ModuleType) -> None:
    """It tells by an event that it serves, and is stopped by an attribute."""

    class TestServer(lib.Server):  # type: ignore[name-defined,misc]
        def __init__(self, config: Any) -> None:
            self.up = asyncio.Event()
            super().__init__(config=config)

        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            self.up.set()

    async def main() -> None:
        server = TestServer(lib.Config(app, port=0, loop="asyncio", lifespan="on"))
        task = asyncio.create_task(server.serve())
        await server.up.wait()
        assert await asyncio.to_thread(get, f"http://127.0.0.1:{port_of(server)}/b") == b"/b"
        server.should_exit = True
        await asyncio.wait_for(task, 5)

    asyncio.run(main())


@pytest.mark.parametrize(
    "options",
    [
        {"log_level": 20},
        {"log_level": "info", "access_log": False},
        {"log_level": None, "headers": None},
        {"log_config": None},
        {"headers": [("a", "b")], "server_header": False, "date_header": True},
        {"http": "auto", "ws": "auto", "interface": "auto", "lifespan": "on"},
        {"ws": "none", "loop": "asyncio"},
        {"loop": "uvloop", "use_colors": False},
        {"workers": 1, "reload": False, "proxy_headers": False},
        {"timeout_keep_alive": 30, "timeout_graceful_shutdown": 2, "backlog": 100, "limit_concurrency": 10},
        {"ws_ping_interval": 20, "ws_max_size": 16777216, "ssl_keyfile": None, "ssl_certfile": None},
        {"h11_max_incomplete_event_size": None, "root_path": ""},
    ],
    ids=lambda options: ",".join(options),
)
def test_options(lib: ModuleType, options: dict[str, Any]) -> None:
    """They are taken by uvicorn's names and in its forms."""
    with (
        in_thread(lib.Server(lib.Config(app, port=0, **options))) as url,
        urllib.request.urlopen(url) as answer,
    ):
        assert answer.status == 200
        assert ("headers" not in options or not options["headers"]) or answer.headers["a"] == "b"


def test_positions_and_a_factory(lib: ModuleType) -> None:
    """Host and port stand second and third."""
    config = lib.Config(make_app, "127.0.0.1", 0, factory=True)
    assert (config.host, config.port, config.loaded) == ("127.0.0.1", 0, False)
    with in_thread(lib.Server(config)) as url:
        assert config.loaded
        assert get(url + "/c") == b"/c"


def test_the_loaded_application_can_be_wrapped(lib: ModuleType) -> None:
    """Between load() and serving."""
    config = lib.Config(app, port=0)
    config.load()
    inner = config.loaded_app

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await inner(dict(scope, path="/wrapped") if scope["type"] == "http" else scope, receive, send)

    config.loaded_app = outer
    with in_thread(lib.Server(config)) as url:
        assert get(url) == b"/wrapped"


def test_attributes_of_a_configuration(lib: ModuleType) -> None:
    """Programs read and set them."""
    config = lib.Config(app, host="127.0.0.1", port=1, headers=[("a", "b")])
    config.port = 0
    assert (config.port, config.workers, config.reload, config.is_ssl) == (0, 1, False, False)
    assert config.headers == [("a", "b")]
    assert config.app is app
    assert not config.ssl_keyfile
    with in_thread(lib.Server(config)) as url:
        assert get(url + "/d") == b"/d"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_sockets_of_the_program(lib: ModuleType, family: socket.AddressFamily) -> None:
    """Several, bound before; they are closed at the end."""
    sockets = [socket.socket(family) for _ in range(3)]
    for one in sockets:
        one.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    host = "[::1]" if family == socket.AF_INET6 else "127.0.0.1"
    ports = [one.getsockname()[1] for one in sockets]
    server = lib.Server(lib.Config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets})
    thread.start()
    wait_for(lambda: server.started)
    assert [each.sockets[0].getsockname()[1] for each in server.servers] == ports
    for port in ports:
        assert get(f"http://{host}:{port}/e") == b"/e"
    server.should_exit = True
    thread.join(10)
    assert [one.fileno() for one in sockets] == [-1] * 3
    with pytest.raises(urllib.error.URLError):
        get(f"http://{host}:{ports[0]}/")


def test_a_socket_that_the_configuration_binds(lib: ModuleType) -> None:
    """On its address, for child processes too."""
    config = lib.Config(app, port=0)
    bound = config.bind_socket()
    assert bound.get_inheritable()
    port = bound.getsockname()[1]

    async def main() -> None:
        server = lib.Server(config)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started:
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(get, f"http://127.0.0.1:{port}/f") == b"/f"
        server.should_exit = True
        await task

    asyncio.run(main())


def test_a_unix_socket_that_the_configuration_binds(lib: ModuleType, tmp_path: Path) -> None:
    """Anybody may connect to it."""
    path = tmp_path / "socket"
    with contextlib.closing(lib.Config(app, uds=str(path)).bind_socket()) as bound:
        assert bound.getsockname() == str(path)
        assert path.stat().st_mode & 0o777 == 0o666


def test_what_is_overridden_is_called_in_turn(lib: ModuleType) -> None:
    """Start-up, ticks, then the shutdown, before which the server still answers."""
    calls: list[str] = []

    class Server(lib.Server):  # type: ignore[name-defined,misc]
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            calls.append("startup")

        async def on_tick(self, counter: int) -> bool:
            calls.append("tick")
            ended: bool = await super().on_tick(counter) or calls.count("tick") > 3
            return ended

        async def shutdown(self, sockets: Any = None) -> None:
            url = f"http://127.0.0.1:{port_of(self)}/g"
            assert await asyncio.to_thread(get, url) == b"/g"
            calls.append("shutdown")
            await super().shutdown(sockets=sockets)
            calls.append("ended")

    Server(lib.Config(app, port=0, loop="asyncio")).run()
    assert calls == ["startup", *["tick"] * 4, "shutdown", "ended"]


def test_an_overridden_main_loop_ends_it(lib: ModuleType) -> None:
    """It need not look at anything."""

    class Server(lib.Server):  # type: ignore[name-defined,misc]
        async def main_loop(self) -> None:
            assert await asyncio.to_thread(get, f"http://127.0.0.1:{port_of(self)}/h") == b"/h"

    server = Server(lib.Config(app, port=0, loop="asyncio"))
    server.run()
    assert server.started


PROGRAM = """
import asyncio, os, signal, sys, threading, time

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored by what runs behind
import {lib} as uvicorn

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        print("shutdown", flush=True)
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    if scope["path"] == "/wait":
        print("waiting", flush=True)
        while True:
            await asyncio.sleep(0.05)

class Server(uvicorn.Server):
    def handle_exit(self, sig, frame):
        print("signal", sig, flush=True)
        super().handle_exit(sig, frame)

def when_it_serves(server):
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    print("port", port, flush=True)

server = Server(uvicorn.Config(app, port=0, loop="asyncio", log_level="critical"))
threading.Thread(target=when_it_serves, args=(server,)).start()
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
finally:
    default = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    print("ended", default, flush=True)
"""
CALLS = {"run": "server.run()", "serve": "asyncio.run(server.serve())"}


@contextlib.contextmanager
def program(lib: ModuleType, call: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the program; gives it and its port."""
    text = PROGRAM.format(lib=lib.__name__, call=CALLS[call])
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline().split()[1])
        finally:
            process.kill()


def rest_of(process: subprocess.Popen[str]) -> list[str]:
    """Return the lines that a program still prints."""
    return process.communicate(timeout=10)[0].splitlines()


@pytest.mark.parametrize("call", CALLS)
def test_an_interrupt_stops_it_and_is_raised_again(lib: ModuleType, call: str) -> None:
    """After the shutdown, and with the handlers of before in place."""
    with program(lib, call) as (process, _):
        process.send_signal(signal.SIGINT)
        assert rest_of(process) == ["signal 2", "shutdown", "interrupted", "ended True"]
    assert process.returncode == 0


@pytest.mark.parametrize("call", CALLS)
def test_a_termination_stops_it_and_is_raised_again(lib: ModuleType, call: str) -> None:
    """So that the program ends as it does by default."""
    with program(lib, call) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert rest_of(process) == ["signal 15", "shutdown"]
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("call", CALLS)
def test_a_second_interrupt_does_not_wait(lib: ModuleType, call: str) -> None:
    """For a request that never ends; whether the application's shutdown still runs differs."""
    with program(lib, call) as (process, port), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "signal 2\n"
        process.send_signal(signal.SIGINT)
        lines = [line for line in rest_of(process) if line != "shutdown"]
        assert lines == ["signal 2", "interrupted", "ended True"]


def test_signals_are_left_alone_in_a_thread(lib: ModuleType) -> None:
    """Only the main thread may take them."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with in_thread(lib.Server(lib.Config(app, port=0))):
        assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_run_serves_until_a_signal(lib: ModuleType) -> None:
    """An interrupt ends run() without an exception."""
    text = (
        f"import {lib.__name__} as uvicorn\n"
        "async def app(scope, receive, send):\n"
        "    print('called', scope['type'], flush=True)\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.complete'})\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.shutdown.complete'})\n"
        "uvicorn.run(app, host='127.0.0.1', port=0, log_level='warning', workers=None, reload=False)\n"
        "print('after', flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "called lifespan\n"
        time.sleep(0.5)  # it serves soon after, and says nothing
        process.send_signal(signal.SIGINT)
        assert rest_of(process) == ["after"]
    assert process.returncode == 0


def test_both_descriptors_of_an_inherited_socket(lib: ModuleType) -> None:
    """The option fd takes a listening socket by its number."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = lib.Config(app, fd=os.dup(listening.fileno()))
        assert config.fd is not None
        with in_thread(lib.Server(config)) as url:
            assert get(url + "/i") == b"/i"
