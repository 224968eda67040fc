"""WebSockets of frameworks under Tricorn, driven by the clients `websockets` and wsproto.

Every test runs for every framework on every library that the framework can run on. What the routes do is the same in
apps/sockets_*.py.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wsproto
from serving import Site, until
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

APPS = Path(__file__).parent / "apps"
STACKS = {
    "bare": ("asyncio", "uvloop", "trio", "curio"),
    "anyio": ("asyncio", "uvloop", "trio"),
    "starlette": ("asyncio", "uvloop", "trio"),
    "fastapi": ("asyncio", "uvloop", "trio"),
    "quart": ("asyncio", "uvloop"),
    "quart_trio": ("trio",),
    "channels": ("asyncio", "uvloop"),
}
TELLS_NO_CODE = ("quart", "quart_trio")
TIMEOUT = 10


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((framework, library), id=f"{framework}-{library}")
        for framework, libraries in STACKS.items()
        for library in libraries
    ],
)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One application on one library, shared by the tests of a module."""
    framework, library = request.param
    directory = tmp_path_factory.mktemp(f"{framework}-{library}")
    with Site(f"sockets_{framework}:app", library, APPS, directory, "--lifespan", "off") as site:
        yield site


def opened(site: Site, path: str, **options: Any) -> ClientConnection:
    """Open a WebSocket with the client `websockets`."""
    return connect(site.url.replace("http", "ws") + path, open_timeout=TIMEOUT, proxy=None, **options)


def last_of(site: Site) -> str:
    """Return with which code and reason the last echo ended, as the application saw it."""
    with opened(site, "/last") as client:
        return str(client.recv(TIMEOUT))


@pytest.mark.parametrize("compression", ["deflate", None], ids=["deflate", "plain"])
def test_text_and_bytes_come_back(site: Site, compression: str | None) -> None:
    messages = ["", "short", "Grüße, 你好 👋", "long " * 20_000, b"\x00\xff", bytes(range(256)) * 400]
    if "quart" not in site.app:  # takes no bytes for no text
        messages.append(b"")
    with opened(site, "/echo", compression=compression) as client:
        for message in messages:
            client.send(message)
            assert client.recv(TIMEOUT) == message
        client.send(["in ", "pieces ", "of a text"])
        assert client.recv(TIMEOUT) == "in pieces of a text"


def test_messages_keep_their_order(site: Site) -> None:
    with opened(site, "/echo") as client:
        for number in range(200):
            client.send(str(number))
        assert [client.recv(TIMEOUT) for _ in range(200)] == [str(number) for number in range(200)]


def test_pings_are_answered(site: Site) -> None:
    with opened(site, "/echo") as client:
        assert client.ping(b"are you there").wait(TIMEOUT)


def test_subprotocol_fields_code_and_reason_of_the_application(site: Site) -> None:
    with opened(site, "/choose", subprotocols=["first", "second"]) as client:
        assert client.subprotocol == "second"
        assert client.response is not None and client.response.headers["x-chosen"] == "yes"
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv(TIMEOUT)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "au revoir")


def test_code_and_reason_of_the_client(site: Site) -> None:
    if any(site.app.startswith(f"sockets_{name}:") for name in TELLS_NO_CODE):
        pytest.skip("Quart cancels a handler whose client has gone, and tells it no code")
    with opened(site, "/echo") as client:
        client.send("hello")
        assert client.recv(TIMEOUT) == "hello"
        client.close(4321, "see you")
    until(lambda: last_of(site) == "4321 see you", "the application's code and reason")


def test_a_denial_is_an_answer(site: Site) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(site, "/refuse")
    answer = refused.value.response
    if "channels" in site.app:  # has no denial but that
        assert answer.status_code == 403
    else:
        assert (answer.status_code, answer.headers["x-why"], answer.body) == (451, "law", b"no way")


def test_what_is_not_there_is_refused(site: Site) -> None:
    if "channels" in site.app:
        pytest.skip("Channels fails where there is no route")
    with pytest.raises(InvalidStatus) as refused:
        opened(site, "/nowhere")
    assert refused.value.response.status_code in (403, 404)


class WsprotoClient:
    """A client on wsproto."""

    def __init__(self, site: Site) -> None:
        host, port = site.url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), TIMEOUT)
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        extensions = [PerMessageDeflate()]
        self.send(Request(host=host, target="/echo", extensions=extensions))
        assert isinstance(self.next(), AcceptConnection)

    def send(self, event: Any) -> None:
        self._socket.sendall(self._protocol.send(event))

    def next(self) -> Any:
        """Return the next event."""
        while True:
            for event in self._protocol.events():
                return event
            data = self._socket.recv(65536)
            self._protocol.receive_data(data or None)

    def message(self) -> Any:
        """Return the next message, put together."""
        parts: list[Any] = []
        while not parts or not parts[-1].message_finished:
            parts.append(self.next())
        return parts[0].data[:0].join(part.data for part in parts)

    def close(self) -> None:
        self._socket.close()


def test_wsproto_is_understood(site: Site) -> None:
    client = WsprotoClient(site)
    client.send(Ping(b"ping"))
    assert client.next() == Pong(b"ping")
    for text in ("short", "äöü" * 10_000):
        client.send(TextMessage(text))
        assert client.message() == text
    client.send(BytesMessage(b"a", message_finished=False))
    client.send(BytesMessage(b"bc" * 50_000))
    assert client.message() == b"a" + b"bc" * 50_000
    client.send(CloseConnection(1001, "gone"))
    assert isinstance(client.next(), CloseConnection)
    client.close()


def test_nothing_was_complained_of(site: Site) -> None:
    """It comes last: no traceback is in the log."""
    assert site.tracebacks() == []
