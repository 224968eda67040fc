"""Serving from inside a program: tasks of each library, threads, cancellation, and nothing left behind."""

from __future__ import annotations

import asyncio
import functools
import gc
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import sniffio
import trio
import uvloop

import tricorn
from tricorn import dev_cert, versions
from tricorn._backends._curio_import import import_curio
from tricorn.errors import StartupError, UsageError

curio = import_curio()

Main = Callable[[], Awaitable[Any]]

RUNS: dict[str, Callable[[Main], Any]] = {
    "asyncio": lambda main: asyncio.run(main()),  # type: ignore[arg-type]
    "uvloop": lambda main: uvloop.run(main()),  # type: ignore[arg-type]
    "trio": lambda main: trio.run(main),
    "curio": lambda main: curio.run(main),
    "anyio on asyncio": lambda main: anyio.run(main),
    "anyio on trio": lambda main: anyio.run(main, backend="trio"),
}
LIBRARIES = ("asyncio", "uvloop", "trio", "curio")


class App:
    """Answers, sleeps for ever, and counts its lifespans."""

    def __init__(self) -> None:
        self.lifespans: list[str] = []
        self.cancelled = 0
        self.waiting = threading.Event()
        self.late = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one scope."""
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{event}"
                self.lifespans.append(event)
                await send({"type": f"lifespan.{event}.complete"})
            return
        if scope["path"] == "/until-stop":
            self.waiting.set()
            await scope["extensions"]["tricorn.shutdown"].wait()
        if scope["path"] == "/late":
            self.late.set()
            await receive()
        if scope["path"] == "/wait":
            self.waiting.set()
            try:
                while (await receive())["type"] != "http.disconnect":
                    pass
                await sleep(100)
            except BaseException:
                self.cancelled += 1
                raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


async def sleep(seconds: float) -> None:
    """Sleep in the library that runs."""
    if curio.meta.curio_running():
        await curio.sleep(seconds)
    else:
        await anyio.sleep(seconds)


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a thread, from any library."""
    if curio.meta.curio_running():
        return await curio.run_in_thread(function, *args)
    return await anyio.to_thread.run_sync(function, *args)


def get(url: str) -> bytes:
    """Fetch a URL."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
        return body


def descriptors() -> int:
    """Return how many descriptors are open."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def app() -> App:
    """An application of the test's own."""
    return App()


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_context_serves_in_the_library_that_runs(app: App, run: Callable[[Main], Any]) -> None:
    """Its URL, port and counters are told; afterwards nobody listens, and the shutdown has run."""

    async def main() -> str:
        async with tricorn.running(app, port=0) as server:
            assert server.port == int(server.url.rpartition(":")[2])
            assert await in_thread(get, server.url + "/a") == b"/a"
            assert server.counters()["exchanges"] == 1
            assert app.lifespans == ["startup"]
        return server.url

    url = run(main)
    assert app.lifespans == ["startup", "shutdown"]
    with pytest.raises(urllib.error.URLError):
        get(url)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_context_serves_in_a_thread(app: App, library: str) -> None:
    """For programs without a library; the thread has ended afterwards."""
    with tricorn.running(app, port=0, async_library=library) as server:
        assert get(server.url + "/b") == b"/b"
    assert app.lifespans == ["startup", "shutdown"]
    assert "tricorn" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_stop_is_told_to_requests_that_wait_for_it(app: App, run: Callable[[Main], Any]) -> None:
    """They end within the grace period by themselves."""
    got: list[bytes] = []

    async def main() -> None:
        async with tricorn.running(app, port=0) as server:
            client = threading.Thread(target=lambda: got.append(get(server.url + "/until-stop")))
            client.start()
            assert await in_thread(app.waiting.wait, 10)
            server.stop()
            await in_thread(client.join, 10)

    run(main)
    assert got == [b"/until-stop"] and app.lifespans == ["startup", "shutdown"]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_an_error_in_the_context_comes_out_as_it_is(app: App, run: Callable[[Main], Any]) -> None:
    """And the server has stopped."""

    async def main() -> None:
        async with tricorn.running(app, port=0):
            raise LookupError("of the program")

    with pytest.raises(LookupError, match="of the program"):
        run(main)
    assert app.lifespans == ["startup", "shutdown"]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_failed_start_is_told(run: Callable[[Main], Any]) -> None:
    """Whether the application fails, or the address is taken."""

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no"})

    async def main() -> None:
        with pytest.raises(StartupError, match="did not start"):
            async with tricorn.running(failing, port=0):
                pass
        with pytest.raises(StartupError, match="did not start"):
            await tricorn.serve(failing, port=0)
        async with tricorn.running(App(), port=0) as server:
            with pytest.raises(StartupError, match="cannot listen"):
                await tricorn.serve(App(), port=server.port)

    run(main)


def test_start_tells_a_nursery_that_it_serves(app: App) -> None:
    """As trio's own servers do; a cancelled nursery stops it."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            server: Any = await nursery.start(functools.partial(tricorn.serve, app, port=0))
            assert await in_thread(get, server.url + "/c") == b"/c"
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert app.lifespans == ["startup", "shutdown"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_start_tells_a_task_group_of_anyio(app: App, backend: str) -> None:
    """On both of its libraries."""

    async def main() -> None:
        async with anyio.create_task_group() as group:
            server: Any = await group.start(functools.partial(tricorn.serve, app, port=0))
            assert await in_thread(get, server.url + "/d") == b"/d"
            group.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert app.lifespans == ["startup", "shutdown"]


async def _cancel_after(seconds: float, function: Main) -> None:
    """Call a function and cancel it after a while, as the library that runs does."""
    if curio.meta.curio_running():
        task = await curio.spawn(function)
        await curio.sleep(seconds)
        await task.cancel()
        return
    with anyio.move_on_after(seconds) as scope:
        await function()
    assert scope.cancelled_caught


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_cancelled_server_ends_what_is_at_work_within_its_time(
    app: App, run: Callable[[Main], Any]
) -> None:
    """Requests that do not end are cancelled, the shutdown runs, and no task stays behind."""
    port = _free_port()

    async def main() -> None:
        function = functools.partial(tricorn.serve, app, port=port, timeout_graceful_shutdown=0.2)
        asking = threading.Thread(target=_ask_for_nothing, args=(port, app))
        asking.start()
        await _cancel_after(0.6, function)
        await in_thread(asking.join)

    run(main)
    assert app.waiting.is_set()
    assert app.cancelled == 1
    assert app.lifespans == ["startup", "shutdown"]


def _free_port() -> int:
    with tricorn.running(App(), port=0) as server:
        return server.port


def _ask_for_nothing(port: int, app: App) -> None:
    """Ask for what never comes, again until the server is there."""
    while not app.waiting.is_set():
        try:
            get(f"http://127.0.0.1:{port}/wait")
        except OSError:
            continue


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_start_that_is_cancelled_leaves_nothing(run: Callable[[Main], Any]) -> None:
    """The application's start-up is cancelled with it."""
    ended: list[str] = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        try:
            await sleep(100)
        finally:
            ended.append(scope["type"])

    run(functools.partial(_cancel_after, 0.2, functools.partial(tricorn.serve, slow, port=0)))
    assert ended == ["lifespan"]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_cancellation_between_start_up_and_serving_does_not_cost_the_shutdown(
    app: App, run: Callable[[Main], Any]
) -> None:
    """An application that has started is always told to shut down."""

    async def main() -> None:
        cancel: Callable[[], Any] | None = None

        async def serve() -> None:
            async def starts(scope: Any, receive: Any, send: Any) -> None:
                async def sends(message: Any) -> None:
                    await send(message)
                    if message["type"] == "lifespan.startup.complete":
                        assert cancel is not None
                        cancelled = cancel()
                        if cancelled is not None:
                            await cancelled

                await app(scope, receive, sends)

            await tricorn.serve(starts, port=0)

        if curio.meta.curio_running():
            task = await curio.spawn(serve)
            cancel = functools.partial(task.cancel, blocking=False)
            await task.wait()
            return
        with anyio.CancelScope() as scope:
            cancel = scope.cancel
            await serve()
        assert scope.cancelled_caught

    run(main)
    assert app.lifespans == ["startup", "shutdown"]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_what_an_application_says_of_a_shutdown_that_is_cancelled_is_heard(
    run: Callable[[Main], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It is cancelled, and may still say that it failed."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await sleep(60)
        finally:
            await send({"type": "lifespan.shutdown.failed", "message": "the last word"})

    async def serve() -> None:
        await tricorn.serve(app, port=0, shutdown_trigger=lambda: sleep(0))

    run(functools.partial(_cancel_after, 0.5, serve))
    assert "the last word" in caplog.text


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_servers_can_run_side_by_side(run: Callable[[Main], Any]) -> None:
    """Each with its own application and port."""

    async def main() -> None:
        async with tricorn.running(App(), port=0) as one, tricorn.running(App(), port=0) as other:
            assert one.port != other.port
            for server in (one, other, one):
                assert await in_thread(get, server.url + "/e") == b"/e"

    run(main)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_hundred_starts_leave_no_descriptor(library: str) -> None:
    """Nor a thread, nor a handler of signals."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    before = 0
    for turn in range(100):
        with tricorn.running(App(), port=0, async_library=library) as server:
            if turn % 10 == 0:
                get(server.url)
        if turn == 10:
            before = descriptors()
    assert descriptors() <= before
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert threading.active_count() < 10


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_leaving_after_a_stop_still_waits(app: App, run: Callable[[Main], Any]) -> None:
    """A stop that is asked for twice is one: what is at work may end within the grace period."""
    answers: list[bytes] = []

    def ask(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
            assert app.late.wait(5)
            time.sleep(0.5)
            client.sendall(b"x")
            answers.append(client.recv(1000))

    async def main() -> None:
        async with tricorn.running(app, port=0) as server:
            asking = threading.Thread(target=ask, args=(server.port,))
            asking.start()
            await in_thread(app.late.wait, 5)
            server.stop()
            server.stop()
        await in_thread(asking.join)

    run(main)
    assert answers[0].startswith(b"HTTP/1.1 200")


async def tasks() -> int:
    """Return how many tasks the library that runs has."""
    if curio.meta.curio_running():
        return len((await curio.traps._get_kernel())._tasks)
    if "trio" in sniffio.current_async_library():
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_hundred_starts_in_one_loop_leave_nothing(run: Callable[[Main], Any]) -> None:
    """No task and no descriptor, whether a server was left, stopped or cancelled."""

    async def stopped() -> None:
        async with tricorn.running(App(), port=0) as server:
            server.stop()

    async def left() -> None:
        async with tricorn.running(App(), port=0):
            pass

    async def cancelled() -> None:
        """At every moment of a start, and of serving."""
        delay = 0.0002 * (turn % 20)
        await _cancel_after(delay, functools.partial(tricorn.serve, App(), port=0))

    turn = 0

    async def main() -> None:
        await in_thread(int)  # libraries keep a thread or a task for it
        nonlocal turn
        before, fds = await tasks(), 0
        for turn in range(100):
            await (left, stopped, cancelled)[turn % 3]()
            if turn == 10:
                fds = descriptors()
        assert descriptors() <= fds
        assert await tasks() <= before

    run(main)


def test_several_loops_in_several_threads() -> None:
    """Two of each library at once, each with a server in a task; every one answers for itself."""
    urls: dict[int, str] = {}
    all_serve, enough = threading.Barrier(9), threading.Event()
    apps = [App() for _ in range(8)]

    def loop(number: int) -> None:
        async def main() -> None:
            async with tricorn.running(apps[number], port=0) as server:
                urls[number] = server.url
                await in_thread(all_serve.wait, 20)
                await in_thread(enough.wait, 20)
                assert server.counters()["exchanges"] == 5

        RUNS[LIBRARIES[number % 4]](main)

    threads = [threading.Thread(target=loop, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    all_serve.wait(20)
    for turn in range(5):
        for number, url in urls.items():
            path = f"/{number}/{turn}"
            assert get(url + path) == path.encode()
    enough.set()
    for thread in threads:
        thread.join(20)
    assert [app.lifespans for app in apps] == [["startup", "shutdown"]] * 8
    assert len(set(urls.values())) == 8


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_counters_are_live(app: App, run: Callable[[Main], Any]) -> None:
    """While a connection is open and a request at work."""

    async def main() -> None:
        async with tricorn.running(app, port=0, timeout_graceful_shutdown=0.1) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
                await in_thread(app.waiting.wait, 5)
                counters = server.counters()
                assert (counters["open"], counters["connections"], counters["active"]) == (1, 1, 1)
            await sleep(0.1)
            server.stop()

    run(main)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_stopped_server_ends_the_task_that_serves(app: App, run: Callable[[Main], Any]) -> None:
    """stop(), from a thread, ends serve() as if it had come to its end; nobody is cancelled."""
    port = _free_port()

    async def main() -> str:
        async with tricorn.running(app, port=port) as server:
            await in_thread(server.stop)
            with pytest.raises(OSError):
                for _ in range(100):
                    await in_thread(get, server.url)
                    await sleep(0.01)
        return "ended"

    assert run(main) == "ended"
    assert app.lifespans == ["startup", "shutdown"]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("fails", [False, True])
def test_a_trigger_stops_the_server(app: App, run: Callable[[Main], Any], fails: bool) -> None:
    """Or the server ends by itself, and the trigger with it."""

    async def trigger() -> None:
        await sleep(0.05)
        if fails:
            raise LookupError("the trigger")

    async def main() -> None:
        if not fails:
            await tricorn.serve(app, port=0, shutdown_trigger=trigger)
            return
        with pytest.raises(LookupError, match="the trigger"):
            await tricorn.serve(app, port=0, shutdown_trigger=trigger)

    run(main)
    assert app.lifespans == ["startup", "shutdown"]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_trigger_that_never_comes_is_cancelled(app: App, run: Callable[[Main], Any]) -> None:
    """The caller may be cancelled as ever."""

    async def main() -> None:
        async def serve() -> None:
            await tricorn.serve(app, port=0, shutdown_trigger=lambda: sleep(60))

        await _cancel_after(0.5, serve)

    began = time.monotonic()
    run(main)
    assert app.lifespans == ["startup", "shutdown"] and time.monotonic() - began < 5


def test_a_thread_serves_on_the_library_that_the_application_declares(app: App) -> None:
    """Unless another one is asked for."""
    found: list[str] = []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        found.append(sniffio.current_async_library())
        await app(scope, receive, send)

    noting.__async_library__ = "trio"  # type: ignore[attr-defined]
    for options in ({}, {"async_library": "asyncio"}):
        with tricorn.running(noting, port=0, **options):  # type: ignore[arg-type]
            pass
    assert found == ["trio", "asyncio"]


def test_where_no_library_runs_serve_says_so() -> None:
    """With what to call instead."""
    coroutine = tricorn.serve(App(), port=0)
    with pytest.raises(UsageError, match="no async library runs here"):
        coroutine.send(None)


def test_another_library_than_the_one_that_runs_is_refused() -> None:
    """It could not be waited for."""

    async def main() -> None:
        with pytest.raises(UsageError, match="asyncio runs here"):
            await tricorn.serve(App(), port=0, async_library="trio")

    asyncio.run(main())


def test_the_package_has_no_other_names() -> None:
    """What is imported late looks as if it were there."""
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        tricorn.nothing_of_that_name  # noqa: B018
    assert {"run", "running", "serve"} <= set(tricorn.__all__)


def test_a_server_on_a_unix_socket_has_no_port(app: App, tmp_path: Any) -> None:
    """And its file goes with it."""
    with tricorn.running(app, uds=str(tmp_path / "socket")) as server:
        assert server.url == f"unix:{tmp_path}/socket"
        with pytest.raises(ValueError, match="no port"):
            server.port  # noqa: B018
    assert not (tmp_path / "socket").exists()


@pytest.mark.skipif(not versions.has_tls(), reason="this build has no TLS")
def test_a_server_that_speaks_tls_has_a_port(app: App, tmp_path: Path) -> None:
    """The one of its URL."""
    certificate, key = dev_cert.write(tmp_path, (), 1)
    with tricorn.running(app, port=0, ssl_certfile=certificate, ssl_keyfile=key) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
