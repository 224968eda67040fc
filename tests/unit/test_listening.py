"""The sockets that the options ask for, before there is a server."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tricorn import listening
from tricorn.config import Config
from tricorn.errors import StartupError
from tricorn.listening import Listener


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An application that is never called here."""


@pytest.fixture
def opened() -> Iterator[list[Listener]]:
    """Listeners that are closed after the test."""
    listeners: list[Listener] = []
    yield listeners
    listening.close(listeners)


def port(listener: Listener) -> int:
    """Return the port of a listener's URL."""
    return int(listener.url.rpartition(":")[2])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("options", [{"host": "::"}, {"host": ""}, {"bind": ["[::]:0"]}, {"bind": [":0"]}])
def test_every_address_is_of_both_families(
    opened: list[Listener], options: dict[str, Any], shared: bool
) -> None:
    """With a socket alone as with those that workers share; clients of IPv4 are seen as such."""
    config = Config(app, **({"port": 0} if "host" in options else {}), **options)
    opened += listening.open_all(config, shared=shared)
    assert len({port(listener) for listener in opened}) == 1
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port(opened[0]))) as client:
            assert client.getpeername()[0] == host


def test_a_second_worker_listens_on_the_same(opened: list[Listener]) -> None:
    opened += listening.open_all(Config(app, bind=["[::]:0"]), shared=True)
    opened += [listening.twin(one, 100, own=True) for one in opened]
    again = Config(app, bind=[f"[::]:{port(opened[0])}"])
    assert len({listener.url for listener in opened}) == len(opened) / 2
    with pytest.raises(StartupError, match=r"cannot listen on \[::\]:\d+: Address already in use"):
        listening.open_all(again)


def test_several_in_their_order(opened: list[Listener], tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.create_server(("127.0.0.1", 0)) as given:
        binds = [f"unix:{path}", "127.0.0.1:0", f"fd://{os.dup(given.fileno())},proxy"]
        opened += listening.open_all(Config(app, bind=binds))
        assert port(opened[2]) == given.getsockname()[1]
    assert [listener.proxy for listener in opened] == [False, False, True]
    assert opened[0].url == f"unix:{path}" and opened[1].url.startswith("http://127.0.0.1:")


def test_one_that_fails_closes_the_others(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(StartupError, match=r"the host 'no-such\.invalid' has no address.*--host or --bind"):
        listening.open_all(Config(app, bind=["127.0.0.1:0", f"unix:{path}", "no-such.invalid:1"]))
    assert not path.exists()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
