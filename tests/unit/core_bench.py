"""A server of the binding without an async library: tests step it by hand, as a library would."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from typing import Any

from tricorn import _core

HEAD = {"type": "http.response.start", "status": 200, "headers": []}
REQUEST = b"GET / HTTP/1.1\r\nHost: test.example\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: test.example\r\nContent-Length: 3\r\n\r\n"


class Trap:
    """Yields its name once: an awaitable of the library of these tests."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __await__(self) -> Generator[str, Any, None]:
        yield self.name


class Parking:
    """A place to wait at that counts its wake-ups."""

    def __init__(self) -> None:
        self.woken = 0

    def wait(self) -> Trap:
        """Suspend once."""
        return Trap("park")

    def wake(self) -> None:
        """Count."""
        self.woken += 1


class Library:
    """What a backend gives to a server; every call can be told to fail."""

    def __init__(self) -> None:
        self.spawned = 0
        self.parkings: list[Parking] = []
        self.failing: dict[str, BaseException] = {}
        self.errors: list[BaseException | None] = []
        self.is_ending = False
        self.cancellable: list[object] = []
        self.cancelled: list[object] = []
        self.refuse: Callable[[object], BaseException | None] | None = None

    def _call(self, name: str, value: Any) -> Any:
        if name in self.failing:
            raise self.failing[name]
        return value

    def spawn(self) -> None:
        """Count the tasks that were started."""
        self._call("spawn", None)
        self.spawned += 1

    def park(self) -> Any:
        """Make a place to wait at."""
        parking = Parking()
        self.parkings.append(parking)
        return self._call("park", parking)

    def canceller(self, runner: object) -> Any:
        """Make what cancels a task."""
        self.cancellable.append(runner)
        return self._call("canceller", lambda: self.cancelled.append(runner))

    def on_error(self, error: BaseException | None, *_: object) -> None:
        """Keep the exception."""
        self.errors.append(error)
        self._call("on_error", None)

    def attach(self, server: _core.Server) -> None:
        """Give the calls to a server."""
        server.attach(
            spawn=self.spawn,
            wait=lambda: self._call("wait", Trap("wait")),
            park=self.park,
            checkpoint=lambda: self._call("checkpoint", Trap("checkpoint")),
            ending=lambda: self._call("ending", self.is_ending),
            stray=lambda: self._call("stray", None),
            refuse=self.refuse,
            canceller=self.canceller,
            state=None,
        )


def make_server(app: Any, library: Library, **settings: Any) -> _core.Server:
    """Return a server of ``app`` that listens nowhere yet."""
    usual: dict[str, Any] = {
        "limits": {},
        "scope": {"type": "http", "http_version": "1.1", "scheme": "http", "root_path": "", "server": None},
        "asgi": {"version": "3.0"},
        "root_path": "",
        "on_error": library.on_error,
        "on_refusal": lambda *_: None,
        "access_log": None,
        "date": False,
        "server": b"",
        "fields": b"",
        "parser": None,
        "extensions": {},
        "cancels": 0,
        "websockets": None,
        "ws_protocol": None,
        "http2": False,
    }
    return _core.Server(app, **{**usual, **settings})


def listen(server: _core.Server, host: str = "127.0.0.1") -> tuple[str, int]:
    """Have a server listen on a free port; returns the address."""
    address = server.listen(_core.listen_tcp(host, 0, 16)[0], 16)
    assert address is not None
    return address


class Bench:
    """A server of one application, its library, and a client."""

    def __init__(self, app: Any, *, library: Library | None = None, **settings: Any) -> None:
        self.library = library or Library()
        self.server = make_server(app, self.library, **settings)
        self.library.attach(self.server)
        address = listen(self.server)
        assert address is not None
        self.client = socket.create_connection(address)
        self.client.settimeout(5)

    def leader(self) -> _core.Runner:
        """Return a runner that leads and waits."""
        runner = self.server.runner()
        assert runner.send(None) == "wait"
        return runner

    def status(self) -> int:
        """Read one answer and return its status."""
        return int(self.client.recv(65536).split()[1])


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer at once."""
    await send(HEAD)
    await send({"type": "http.response.body", "body": b"ok"})


async def suspend(scope: Any, receive: Any, send: Any) -> None:
    """Suspend once, then answer."""
    await Trap("app")
    await answer(scope, receive, send)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Wait for the body, then answer with it."""
    message = await receive()
    await send(HEAD)
    await send({"type": "http.response.body", "body": message["body"]})
