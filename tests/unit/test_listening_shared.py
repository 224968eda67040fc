"""Listening sockets that several processes share an address with."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tricorn import listening
from tricorn.config import Config
from tricorn.errors import StartupError
from tricorn.listening import Listener


@pytest.fixture
def opened() -> Iterator[Callable[[list[Listener]], list[Listener]]]:
    with ExitStack() as stack:

        def keep(listeners: list[Listener]) -> list[Listener]:
            stack.callback(listening.close, listeners)
            return listeners

        yield keep


Keep = Callable[[list[Listener]], list[Listener]]


def address(listener: Listener) -> tuple[str, int]:
    with socket.socket(fileno=os.dup(listener.fd)) as one:
        name: tuple[str, int] = one.getsockname()
        return name


def accepted(listeners: list[Listener]) -> list[int]:
    """Take what is queued; returns how many each has had."""
    counts = []
    for listener in listeners:
        count = 0
        with socket.socket(fileno=os.dup(listener.fd)) as one:
            one.setblocking(False)
            while True:
                try:
                    one.accept()[0].close()
                except BlockingIOError:
                    break
                count += 1
        counts.append(count)
    return counts


def connect(to: tuple[str, int], times: int) -> None:
    for _ in range(times):
        socket.create_connection(to, timeout=5).close()


def test_a_twin_has_its_own_queue_and_the_options_of_the_first(opened: Keep) -> None:
    first = opened(listening.open_all(Config("a:b", port=0), shared=True))
    second = opened([listening.twin(one, 500, own=True) for one in first])
    assert [address(one) for one in first] == [address(one) for one in second]
    connect(address(first[0]), 200)
    counts = accepted(first + second)
    assert sum(counts) == 200
    assert min(counts) > 30
    for one in (*first, *second):
        with socket.socket(fileno=os.dup(one.fd)) as made:
            assert made.getsockopt(socket.IPPROTO_TCP, listening._TCP_NOTSENT_LOWAT) == 262144
            assert not made.get_inheritable()


def test_a_twin_may_be_the_same_socket(opened: Keep, tmp_path: Path) -> None:
    """Where it is asked for, and always for Unix sockets."""
    first = opened(listening.open_all(Config("a:b", port=0)))
    same = opened([listening.twin(one, 100, own=False) for one in first])
    connect(address(first[0]), 5)
    assert accepted(same + first) == [5, 0]
    path = tmp_path / "socket"
    first = opened(listening.open_all(Config("a:b", uds=str(path)), shared=True))
    same = opened([listening.twin(one, 500, own=True) for one in first])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert accepted(same + first) == [1, 0]
    listening.remove_files(same)
    assert path.exists()


def test_an_address_in_use_is_noticed_though_it_may_be_shared(opened: Keep) -> None:
    """Of our own user, and with sockets that may be shared: the kernel alone would not mind."""
    first = opened(listening.open_all(Config("a:b", port=0), shared=True))
    with pytest.raises(StartupError, match="in use"):
        listening.open_all(Config("a:b", port=address(first[0])[1]), shared=True)


def test_new_connections_are_steered_away_from_the_last(opened: Keep) -> None:
    """All go to those before it, evenly; and to all again later."""
    first = opened(listening.open_all(Config("a:b", port=0), shared=True))
    all_three = [*first, *opened([listening.twin(first[0], 500, own=True) for _ in range(2)])]
    listening.steer(all_three[-1:], 3, [2])
    connect(address(first[0]), 300)
    counts = Counter(dict(enumerate(accepted(all_three))))
    assert counts.total() == 300
    assert counts[2] == 0
    assert min(counts[0], counts[1]) > 90
    listening.steer(first, 3)
    connect(address(first[0]), 300)
    assert min(accepted(all_three)) > 50


@pytest.mark.parametrize("out", [[0], [1], [0, 2], [1, 2], [0, 1]])
def test_any_sockets_can_be_passed_by(opened: Keep, out: list[int]) -> None:
    """The others share what comes evenly."""
    first = opened(listening.open_all(Config("a:b", port=0), shared=True))
    all_three = [*first, *opened([listening.twin(first[0], 500, own=True) for _ in range(2)])]
    listening.steer(first, 3, out)
    connect(address(first[0]), 200)
    counts = accepted(all_three)
    assert sum(counts) == 200
    assert [index for index, count in enumerate(counts) if not count] == out
    assert min(count for count in counts if count) > 50
