"""``tricorn.Server`` where it does more than uvicorn's, or says that it does not do the same."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import pickle
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio
import uvicorn
import uvloop

import tricorn
from tricorn import uvicorn_options
from tricorn._backends._curio_import import import_curio
from tricorn.errors import StartupError, UsageError
from tricorn.options import BY_ATTRIBUTE

curio = import_curio()

Main = Callable[[], Awaitable[Any]]

RUNS: dict[str, Callable[[Main], Any]] = {
    "asyncio": lambda main: asyncio.run(main()),  # type: ignore[arg-type]
    "uvloop": lambda main: uvloop.run(main()),  # type: ignore[arg-type]
    "trio": lambda main: trio.run(main),
    "curio": lambda main: curio.run(main),
}
LIBRARIES = (*RUNS, "none")


class App:
    """Answers, hangs at /wait, and counts its lifespans."""

    def __init__(self) -> None:
        self.lifespans: list[str] = []
        self.waiting = threading.Event()
        self.cancelled = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one scope."""
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                self.lifespans.append(event)
                await send({"type": f"lifespan.{event}.complete"})
            return
        if scope["path"] == "/wait":
            await receive()
            self.waiting.set()
            try:
                await receive()
            except BaseException:
                self.cancelled += 1
                raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


def get(server: tricorn.Server, path: str = "/") -> bytes:
    """Fetch a path of a server."""
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=10) as answer:
        body: bytes = answer.read()
        return body


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def app() -> App:
    """An application of the test's own."""
    return App()


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Take away what the configuration of a test's server has set up."""
    names = ("tricorn", "tricorn.error", "tricorn.access")
    saved = [(logging.getLogger(name), list(logging.getLogger(name).handlers)) for name in names]
    yield
    for logger, handlers in saved:
        logger.handlers = handlers
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


@pytest.mark.parametrize("library", LIBRARIES)
def test_run_on_each_library(app: App, library: str) -> None:
    """In a thread, until the attribute is set; that is noticed at once."""
    server = tricorn.Server(tricorn.Config(app, port=0, async_library=library))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    assert get(server, "/a") == b"/a"
    assert (server.counters()["exchanges"], server.server_state.total_requests) == (1, 1)
    begun = time.monotonic()
    server.should_exit = True
    thread.join(5)
    assert time.monotonic() - begun < 0.5
    assert app.lifespans == ["startup", "shutdown"]


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a thread, from any library."""
    if curio.meta.curio_running():
        return await curio.run_in_thread(function, *args)
    return await anyio.to_thread.run_sync(function, *args)


async def beside(server: tricorn.Server, function: Main) -> None:
    """Serve in a task of the library that runs, while a function runs in this one."""
    if curio.meta.curio_running():
        task = await curio.spawn(server.serve)
        await in_thread(wait_for, lambda: server.started)
        await function()
        await task.join()
        return
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve)
        await in_thread(wait_for, lambda: server.started)
        await function()


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_serve_in_a_task_of_each_library(app: App, run: Callable[[Main], Any]) -> None:
    """Overridden methods run in the task that serves, and may await what is the library's."""
    calls: list[str] = []

    class Server(tricorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await in_thread(calls.append, "before startup")
            await super().startup(sockets=sockets)
            await in_thread(calls.append, "started")

        async def on_tick(self, counter: int) -> bool:
            calls.append("tick")
            return await super().on_tick(counter)

        async def shutdown(self, sockets: Any = None) -> None:
            await in_thread(calls.append, "before shutdown")
            await super().shutdown(sockets=sockets)
            assert app.lifespans == ["startup", "shutdown"]
            calls.append("shut down")

    server = Server(tricorn.Config(app, port=0))

    async def use() -> None:
        await in_thread(wait_for, lambda: "tick" in calls)
        assert await in_thread(get, server, "/b") == b"/b"
        server.should_exit = True

    run(lambda: beside(server, use))
    assert [call for call in calls if call != "tick"] == [
        "before startup",
        "started",
        "before shutdown",
        "shut down",
    ]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_an_error_in_what_is_overridden_stops_it(app: App, run: Callable[[Main], Any]) -> None:
    """And comes out as it is."""

    class Server(tricorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            raise LookupError("of the program")

    server = Server(tricorn.Config(app, port=0))
    with pytest.raises(LookupError, match="of the program"):
        run(server.serve)
    assert app.lifespans == ["startup", "shutdown"]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_cancelled_server_shuts_down(run: Callable[[Main], Any]) -> None:
    """Unlike uvicorn's: what is at work may end within the grace period, then it is cancelled."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    counts = []
    for _ in range(4):  # what libraries keep for good is there after the first
        serve_and_cancel(App(), run)
        gc.collect()
        counts.append(len(list(Path("/proc/self/fd").iterdir())))
    assert counts[-1] <= counts[0]
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def serve_and_cancel(app: App, run: Callable[[Main], Any]) -> None:
    """Cancel a server that has a request at work which does not end."""
    server = tricorn.Server(tricorn.Config(app, port=0, timeout_graceful_shutdown=0.1))
    client = socket.socket()

    def ask() -> None:
        wait_for(lambda: server.started)
        client.connect(server.servers[0].sockets[0].getsockname())
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        assert app.waiting.wait(5)

    async def main() -> None:
        if curio.meta.curio_running():
            task = await curio.spawn(server.serve)
            await in_thread(ask)
            await task.cancel()
            return
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve)
            await in_thread(ask)
            group.cancel_scope.cancel()

    run(main)
    client.close()
    assert app.cancelled == 1
    assert app.lifespans == ["startup", "shutdown"]


@pytest.mark.parametrize("library", RUNS)
def test_force_exit_cancels_what_is_at_work(app: App, library: str) -> None:
    """Which the stop would wait for without end; the application's shutdown runs all the same."""
    server = tricorn.Server(tricorn.Config(app, port=0, async_library=library))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    with socket.create_connection(server.servers[0].sockets[0].getsockname()) as client:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        assert app.waiting.wait(5)
        server.should_exit = True
        thread.join(0.3)
        assert thread.is_alive()
        server.force_exit = True
        thread.join(5)
    assert not thread.is_alive()
    assert (app.cancelled, app.lifespans) == (1, ["startup", "shutdown"])


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_stop_that_was_asked_for_before(app: App, library: str) -> None:
    """The application is started up and shut down."""
    server = tricorn.Server(tricorn.Config(app, port=0, async_library=library))
    server.should_exit = True
    server.run()
    assert app.lifespans == ["startup", "shutdown"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_same_server_can_run_again(app: App, library: str) -> None:
    """A hundred times, and nothing is left behind."""
    server = tricorn.Server(tricorn.Config(app, port=0, async_library=library, log_level="critical"))
    server.run = server.run  # type: ignore[method-assign]  # programs put functions of their own in place
    before = 0
    for turn in range(100):
        server.should_exit = True
        server.run()
        if turn == 10:
            gc.collect()
            before = len(list(Path("/proc/self/fd").iterdir()))
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert len(app.lifespans) == 200


def test_many_threads_ask_and_nothing_is_cut(app: App) -> None:
    """However often a stop is asked for, it waits for what is at work."""
    server = tricorn.Server(tricorn.Config(app, port=0, async_library="asyncio"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    with socket.create_connection(server.servers[0].sockets[0].getsockname()) as client:
        client.sendall(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
        wait_for(lambda: server.counters()["active"] == 1)
        askers = [threading.Thread(target=setattr, args=(server, "should_exit", True)) for _ in range(20)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        time.sleep(0.1)
        assert thread.is_alive()
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    thread.join(5)
    assert app.cancelled == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_failed_start_is_raised(library: str) -> None:
    """Whether the application fails or the address is taken; where uvicorn leaves by SystemExit."""

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no"})

    server = tricorn.Server(tricorn.Config(failing, port=0, async_library=library))
    with pytest.raises(StartupError, match="did not start"):
        server.run()
    assert not server.started
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tricorn.Config(App(), port=port, async_library=library)
        with pytest.raises(StartupError, match="cannot listen"):
            tricorn.Server(config).run()
        with pytest.raises(StartupError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            config.bind_socket()


def test_a_socket_that_cannot_listen() -> None:
    """Is named."""
    with socket.socketpair()[0] as connected, pytest.raises(StartupError, match="cannot be listened on"):
        tricorn.Server(tricorn.Config(App())).run(sockets=[connected])


def test_unix_sockets_of_the_program(app: App, tmp_path: Path) -> None:
    """Their names are told, and the requests know them."""
    path = tmp_path / "socket"
    config = tricorn.Config(app, uds=str(path), uds_mode=0o600)
    server = tricorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [config.bind_socket()]})
    thread.start()
    wait_for(lambda: server.started)
    assert path.stat().st_mode & 0o777 == 0o600
    found = server.servers[0].sockets[0]
    assert (found.getsockname(), found.family, found.type) == (
        str(path),
        socket.AF_UNIX,
        socket.SOCK_STREAM,
    )
    server.should_exit = True
    thread.join(5)
    server = tricorn.Server(tricorn.Config(app, uds=str(tmp_path / "other"), async_library="trio"))
    server.should_exit = True
    server.run()
    assert server.servers[0].sockets[0].getsockname() == str(tmp_path / "other")


def test_an_inherited_socket_can_be_bound_again() -> None:
    """The descriptor stays the program's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with tricorn.Config(App(), fd=listening.fileno()).bind_socket() as bound:
            assert bound.getsockname() == listening.getsockname()
        assert listening.fileno() >= 0
        os.fstat(listening.fileno())


RUNNING_CALLS = {
    "run": lambda: tricorn.run(App(), port=0, log_config=None),
    "server.run": lambda: tricorn.Server(tricorn.Config(App(), port=0)).run(),
}


@pytest.mark.parametrize("call", RUNNING_CALLS.values(), ids=RUNNING_CALLS)
@pytest.mark.parametrize("library", RUNS)
def test_run_inside_a_running_loop_is_refused(library: str, call: Callable[[], None]) -> None:
    """With one line that says what to call instead."""

    async def main() -> None:
        with pytest.raises(UsageError, match=rf"was called in a task of {library}.*call 'await ") as caught:
            call()
        assert "\n" not in str(caught.value)

    RUNS[library](main)


def test_another_library_than_the_loop_that_runs(app: App) -> None:
    """``loop`` only says what run() starts, as long as both are asyncio's; trio is not."""

    async def main() -> None:
        server = tricorn.Server(tricorn.Config(app, port=0, loop="uvloop"))
        server.should_exit = True
        await server.serve()
        with pytest.raises(UsageError, match="asyncio runs here"):
            await tricorn.Server(tricorn.Config(app, port=0, async_library="trio")).serve()

    asyncio.run(main())
    with pytest.raises(UsageError, match="no async library runs here"):
        tricorn.Server(tricorn.Config(app)).serve().send(None)


def test_the_library_that_an_application_declares(app: App) -> None:
    """Is the one that run() and a thread start."""
    app.__async_library__ = "trio"  # type: ignore[attr-defined]
    found: list[str] = []

    class Server(tricorn.Server):
        async def main_loop(self) -> None:
            found.append(trio.lowlevel.current_task().name)

    server = Server(tricorn.Config(app, port=0))
    server.run()
    assert len(found) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"ssl_context_factory": len}, "ssl_context_factory="),
        ({"ssl_version": ssl.PROTOCOL_TLS_CLIENT}, "ssl_version must be one of"),
        ({"log_config": 5}, "log_config must be"),
        ({"log_level": 21}, "log_level must be"),
        ({"loop": "custom"}, "loop must be one of"),
    ],
)
def test_what_tricorn_does_not_have_is_refused(options: dict[str, Any], problem: str) -> None:
    """In one line that names the option; the constructor, run() and an attribute say the same."""
    for call in (tricorn.Config, tricorn.run, tricorn.running):
        with pytest.raises(UsageError) as caught:
            call(App(), **options)
        assert str(caught.value).startswith(problem)
        assert "\n" not in str(caught.value)
    config = tricorn.Config(App())
    with pytest.raises(UsageError):
        setattr(config, *options.popitem())


def test_every_option_of_uvicorn_is_known() -> None:
    """With its default it is accepted, whether Tricorn has it or not."""
    for function in (uvicorn.Config, uvicorn.run):
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(function).parameters.items()
            if name not in {"app", "log_config"}
        }
        config = tricorn.Config(App(), **defaults)
        assert config == tricorn.Config(config.app, http2=False)  # which is not our default
        for name in defaults.keys() - {"headers", "h11_max_incomplete_event_size"}:
            getattr(config, name)


@pytest.mark.parametrize("options", [{"workers": 4}, {"reload": True}, {"preload": True}])
def test_processes_are_for_run(options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """A server inside a program has none: that is said, or warned of where uvicorn is silent. run() wants a name."""
    with pytest.raises(UsageError, match="worker processes import the application by its name"):
        tricorn.run(App(), **options)
    with (
        pytest.raises(UsageError, match="serves in the process that calls it"),
        tricorn.running(App(), port=0, **options),
    ):
        pass
    server = tricorn.Server(tricorn.Config(App(), port=0, log_config=None, **options))
    server.should_exit = True
    logger = logging.getLogger("tricorn.error")
    logger.addHandler(caplog.handler)
    try:
        server.run()
    finally:
        logger.removeHandler(caplog.handler)
    assert "serves in the process that calls it" in caplog.text


def test_no_option_is_both_there_and_missing() -> None:
    """An option that Tricorn gets is taken from the table."""
    assert not uvicorn_options.MISSING.keys() & BY_ATTRIBUTE.keys()


def test_logging_is_left_alone_when_asked(app: App) -> None:
    """A server sets up the loggers of Tricorn, unless ``log_config`` is ``None``."""
    logger = logging.getLogger("tricorn")
    for options, handlers in ({"log_config": None}, 0), ({}, 1):
        logger.handlers = []
        server = tricorn.Server(tricorn.Config(app, port=0, **options))
        server.should_exit = True
        server.run()
        assert len(logger.handlers) == handlers


def test_a_configuration_of_a_name_can_be_sent_to_a_process() -> None:
    """As the workers of a program's own need it."""
    config = pickle.loads(pickle.dumps(tricorn.Config("main:app", headers=[("a", "b")])))
    assert (config.headers, config.loaded) == ([("a", "b")], False)
    assert config.asgi_version == "3.0"


def test_typed() -> None:
    """A program that uses all of it passes mypy's strict checks."""
    text = (
        "import asyncio, socket, tricorn\n"
        "from typing import Any\n"
        "async def app(scope: Any, receive: Any, send: Any) -> None: ...\n"
        "class Server(tricorn.Server):\n"
        "    async def startup(self, sockets: Any = None) -> None:\n"
        "        await super().startup(sockets=sockets)\n"
        "server = Server(tricorn.Config(app, '::1', 0, log_level=20))\n"
        "reveal_type(server.should_exit)\n"
        "reveal_type(server.servers[0].sockets[0].getsockname())\n"
        "server.run(sockets=[server.config.bind_socket()])\n"
        "reveal_type(tricorn.running(app).__enter__())\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=/dev/null", "-c", text],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    revealed = re.findall(r'Revealed type is "(?:\w+\.)*(\w+)"', done.stdout)
    assert revealed == ["bool", "Any", "RunningServer"]
