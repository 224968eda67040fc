"""Checks of a server that runs on the backend: the invariants I1 to I9, with applications that know no library."""

from __future__ import annotations

import contextvars
import os
import socket
import threading
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from tricorn._backends.base import Backend, Parking, TaskGroup
from tricorn.config import Config
from tricorn.lifespan import settle
from tricorn.server import Service

Check = Callable[[Backend], None]
StrayCheck = Callable[[Backend, Callable[[], Awaitable[object]]], None]
Application = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]

CHECKS: dict[str, Check] = {}
STRAY_CHECKS: dict[str, StrayCheck] = {}

_variable: contextvars.ContextVar[str] = contextvars.ContextVar("_variable", default="unset")


def _check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


class _Served:
    """A server that serves in a thread."""

    def __init__(self, server: Service) -> None:
        self._server = server
        host, _, port = server.urls[0].removeprefix("http://").rpartition(":")
        self._address = (host, int(port))
        self.ticks = 0

    def connect(self) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(self._address, timeout=8)

    def ask(self, path: str = "/", count: int = 1) -> list[int]:
        """Return the status of each answer to requests that are sent at once on one connection."""
        with self.connect() as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: h\r\n".encode()
            close = request + b"Connection: close\r\n\r\n"
            connection.sendall((request + b"\r\n") * (count - 1) + close)
            data = b""
            while block := connection.recv(65536):
                data += block
        return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


@contextmanager
def _serving(backend: Any, app: Application, **options: Any) -> Iterator[_Served]:
    """Serve an application in a thread, beside a task that ticks; stop it at the end."""
    options = {"port": 0, "lifespan": "off", "access_log": False, "timeout_graceful_shutdown": 2.0, **options}
    server = Service(Config(app, **options), app, backend)
    served = _Served(server)
    failures: list[BaseException] = []
    started = threading.Event()

    async def on_started() -> None:
        started.set()

    async def tick() -> None:
        while True:
            await backend.sleep(0.002)
            served.ticks += 1

    async def main() -> None:
        async with backend.tasks() as group:
            await settle(group.spawn(tick))
            await server.main()
            await settle(group.cancel())

    def run() -> None:
        try:
            backend.run(main)
        except BaseException as error:
            failures.append(error)
        finally:
            started.set()

    server.on_started = on_started
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait()
    try:
        if not failures:
            yield served
    finally:
        server.stop()
        thread.join()
    if failures:
        raise failures[0]


async def _answer(send: Any, body: bytes = b"ok", status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


class _Observed:
    """A backend that counts who waits for the descriptor, and says which serving task is being stepped."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.waiting = self.most = self.spawned = 0
        self.current: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    @asynccontextmanager
    async def watch(self, fd: int) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
        """Count the waiters."""
        async with self._backend.watch(fd) as wait:

            async def counted() -> None:
                self.waiting += 1
                self.most = max(self.most, self.waiting)
                try:
                    await wait()
                finally:
                    self.waiting -= 1

            yield counted

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[_ObservedGroup]:
        """Number the tasks."""
        async with self._backend.tasks() as group:
            yield _ObservedGroup(self, group)

    @types.coroutine
    def stepped(self, inner: Any, number: int) -> Generator[Any, Any, None]:
        """Drive a coroutine, saying before each step that it is this one's."""
        steps = inner.__await__()
        step, value = steps.send, None
        while True:
            self.current = number
            try:
                trap = step(value)
            except StopIteration:
                return
            try:
                step, value = steps.send, (yield trap)
            except BaseException as error:
                step, value = steps.throw, error


class _ObservedGroup:
    """A group whose tasks are numbered."""

    def __init__(self, observed: _Observed, group: TaskGroup) -> None:
        self._observed = observed
        self._group = group

    def __getattr__(self, name: str) -> Any:
        return getattr(self._group, name)

    def spawn(self, function: Callable[[], Any]) -> Awaitable[Any] | None:
        """Number the task."""
        self._observed.spawned += 1
        number = self._observed.spawned

        async def run() -> None:
            await self._observed.stepped(function(), number)

        return self._group.spawn(run)


def _mixed(backend: Backend) -> Application:
    """An application that suspends in one way or another, or not, as the path says."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/checkpoint":
            await backend.checkpoint()
        elif scope["path"] == "/sleep":
            await backend.sleep(0.003)
        await _answer(send)

    return app


def _ask_in_threads(served: _Served, count: int = 6) -> None:
    """Ask for everything that an application of :func:`_mixed` does, from several threads."""
    failures: list[BaseException] = []

    def ask(number: int) -> None:
        try:
            for turn in range(10):
                path = ("/", "/checkpoint", "/sleep")[(number + turn) % 3]
                assert served.ask(path, 3) == [200] * 3, f"{path} was not answered"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@_check
def i1_one_leader(backend: Backend) -> None:
    """I1: one task at a time waits for the descriptor, and one does when all is quiet."""
    observed = _Observed(backend)
    with _serving(observed, _mixed(backend)) as served:
        _ask_in_threads(served)
        time.sleep(0.05)
        assert observed.waiting == 1, f"{observed.waiting} leaders"
    assert observed.most == 1, f"{observed.most} leaders at once"


@_check
def i2_the_application_is_in_a_task(backend: Backend) -> None:
    """I2: the application runs in a task of the library from its first instruction, and may open groups there."""
    seen: list[object] = []
    none = backend.name == "none"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(none or backend.running())
        async with backend.tasks() as group:

            async def child() -> None:
                await backend.sleep(0.001)
                seen.append(none or backend.running())

            await settle(group.spawn(child))
        seen.append(none or backend.running())
        await _answer(send)

    with _serving(backend, app) as served:
        assert served.ask("/", 2) == [200, 200]
    assert seen == [True] * 6, seen


@_check
def i3_a_context_for_each_exchange(backend: Backend) -> None:
    """I3: context variables that one exchange sets are seen in no other."""
    wrong: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if _variable.get() != "unset":
            wrong.append(f"{scope['path']} begins with {_variable.get()}")
        mine = f"{scope['path']} {id(scope)}"
        _variable.set(mine)
        if scope["path"] == "/checkpoint":
            await backend.checkpoint()
        elif scope["path"] == "/sleep":
            await backend.sleep(0.003)
        if _variable.get() != mine:
            wrong.append(f"{mine} has become {_variable.get()}")
        await _answer(send)

    with _serving(backend, app) as served:
        _ask_in_threads(served)
    assert not wrong, wrong[:3]


@_check
def i4_a_task_that_suspended_serves_no_more(backend: Backend) -> None:
    """I4: a task in which an application has suspended serves no other exchange."""
    observed = _Observed(backend)
    spent: set[int | None] = set()
    wrong: list[int | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if observed.current in spent:
            wrong.append(observed.current)
        if scope["path"] != "/":
            mine = observed.current
            await backend.sleep(0.001)
            if observed.current != mine:
                wrong.append(mine)
            spent.add(mine)
        await _answer(send)

    with _serving(observed, app) as served:
        _ask_in_threads(served)
    assert spent and not wrong


@_check
def i5_no_request_waits_for_a_suspended_one(backend: Backend) -> None:
    """I5: while applications are suspended others are answered; each goes on when it is woken."""
    places: list[Parking] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/park":
            place = backend.park()
            places.append(place)
            await place.wait()
        elif scope["path"] == "/wake":
            while places:
                await settle(places.pop().wake())
        await _answer(send)

    with _serving(backend, app) as served:
        for _ in range(3):
            parked = [served.connect() for _ in range(20)]
            for connection in parked:
                connection.sendall(b"GET /park HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            while len(places) < 20:
                assert served.ask() == [200]
            assert served.ask("/wake") == [200]
            for connection in parked:
                with connection:
                    assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@_check
def i6_other_tasks_run_under_load(backend: Backend) -> None:
    """I6: a leader that always has something to do lets other tasks run."""
    with _serving(backend, _mixed(backend)) as served:
        over = threading.Event()

        def load() -> None:
            while not over.is_set():
                served.ask("/", 200)

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        before = served.ticks
        time.sleep(0.4)
        ticks = served.ticks - before
        over.set()
        for thread in threads:
            thread.join()
    assert ticks >= 5, f"a task that sleeps 2 ms ran {ticks} times in 400 ms"


@_check
def i7_an_exception_ends_one_exchange(backend: Backend) -> None:
    """I7: an exception of an application, before or after it suspended, is a 500, and serving goes on."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/late":
            await backend.checkpoint()
        if scope["path"] != "/":
            raise RuntimeError("of the application")
        await _answer(send)

    with _serving(backend, app) as served:
        for path in ("/early", "/late") * 3:
            assert served.ask(path) == [500]
            assert served.ask() == [200]


class _Alien:
    """Yields what is no trap of any library."""

    def __await__(self) -> Generator[object, None, None]:
        yield object()


@_check
def i7_what_is_no_trap_ends_one_exchange(backend: Backend) -> None:
    """I7: an application that awaits what is not the library's gets an exception, and serving goes on."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/alien":
            await _Alien()
        await _answer(send)

    with _serving(backend, app) as served:
        for _ in range(3):
            assert served.ask("/alien") == [500]
            assert served.ask() == [200]


def i7_a_stray_cancellation_ends_no_server(backend: Backend, leave: Callable[[], Awaitable[object]]) -> None:
    """I7: a cancellation that an application leaves behind is felt by no other exchange, and stops nothing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/hold":
            time.sleep(0.03)  # so that what comes meanwhile is found at once
        elif scope["path"] == "/checkpoint":
            await backend.checkpoint()
        await _answer(send)
        if scope["path"] == "/leave":
            await leave()

    with _serving(backend, app) as served:
        for _ in range(3):
            connections = [served.connect() for _ in range(9)]
            for number, connection in enumerate(connections):
                path = ("/checkpoint", "/leave")[number % 2] if number else "/hold"
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
                if number == 0:
                    time.sleep(0.005)
            for connection in connections:
                with connection:
                    assert connection.recv(65536).startswith(b"HTTP/1.1 200"), (
                        "it was felt by another exchange"
                    )
            assert served.ask("/", 3) == [200] * 3


STRAY_CHECKS["i7_a_stray_cancellation_ends_no_server"] = i7_a_stray_cancellation_ends_no_server


def _at_once(awaitable: Any) -> Any:
    """Return an awaitable's value, which must be there without suspending."""
    try:
        awaitable.__await__().send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it suspended")


@_check
def i8_what_is_ready_does_not_suspend(backend: Backend) -> None:
    """I8: receive() with an event there, and send() with room, return without suspending."""
    failures: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            assert _at_once(receive())["body"] == b"body"
            _at_once(send({"type": "http.response.start", "status": 200, "headers": []}))
            _at_once(send({"type": "http.response.body", "body": b"ok"}))
        except BaseException as error:
            failures.append(error)
            raise

    with _serving(backend, app) as served, served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200"), failures
    assert not failures


@_check
def i8_a_cancelled_receive_loses_nothing(backend: Backend) -> None:
    """I8: what comes while or after a receive() is cancelled, is given to the next."""
    bodies: list[bytes] = []
    cancelled = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with backend.tasks() as group:
            await settle(group.spawn(receive_never))
            await backend.sleep(0.01)
            await settle(group.cancel())
        cancelled.set()
        bodies.append((await receive())["body"])
        await _answer(send)

    async def receive_never() -> None:
        bodies.append((await receiving[0]())["body"])

    receiving: list[Any] = []

    async def keeping(scope: Any, receive: Any, send: Any) -> None:
        receiving.append(receive)
        await app(scope, receive, send)

    with _serving(backend, keeping) as served, served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n")
        assert cancelled.wait(8), "receive() was not cancelled"
        connection.sendall(b"body")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert bodies == [b"body"], bodies


@_check
def i9_a_stream_lets_others_run(backend: Backend) -> None:
    """I9: an application that only ever sends lets other tasks run."""
    ran: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with backend.tasks() as group:

            async def other() -> None:
                while True:
                    ran.append(1)
                    await backend.checkpoint()

            await settle(group.spawn(other))
            await backend.checkpoint()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            before = len(ran)
            for _ in range(400):
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
            turns = len(ran) - before
            await settle(group.cancel())
        await send({"type": "http.response.body", "body": str(turns).encode()})

    with _serving(backend, app) as served, served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        data = b""
        while block := connection.recv(65536):
            data += block
    turns = int(data.rpartition(b"x")[2])
    assert turns >= 3, f"400 sends let another task run {turns} times"


@_check
def stopping_ends_every_task(backend: Backend) -> None:
    """A stop cancels what outlasts the grace period, and leaves no task and no descriptor."""
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await backend.park().wait()
        finally:
            ended.append("cancelled")

    async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            ended.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await app(scope, receive, send)

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    options = {"lifespan": "on", "timeout_graceful_shutdown": 0.1}
    with _serving(backend, with_lifespan, **options) as served:
        connections = [served.connect() for _ in range(3)]
        for connection in connections:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(0.1)
    for connection in connections:
        connection.close()
    assert ended == ["cancelled"] * 3 + ["shutdown"], ended
    del served
    assert before - 1 <= len(os.listdir("/proc/self/fd")) <= before + 8  # noqa: PTH208
