"""What the core refuses of a program that hands it the wrong things: exceptions, never a crash."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from core_bench import Library, answer, make_server

from tricorn import _core
from tricorn.board import Board


def server() -> _core.Server:
    return make_server(answer, Library())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("report", ("x", 0)),
        ("report", (0,)),
        ("balance", (0, (1, 2))),
        ("balance", ("x", [])),
        ("balance", (0, ["x"])),
        ("finish_log", ("x",)),
        ("limit", ("x",)),
        ("set_ready", ()),
        ("interrupt", (1, 2)),
        ("stop", (1, 2)),
        ("listen", ("x", 1)),
        ("set_proxies", (1,)),
        ("log_access", (1,)),
    ],
)
def test_arguments_of_a_wrong_kind(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        getattr(server(), name)(*arguments)


def test_a_place_among_workers_that_is_not_there() -> None:
    """No board, no such cell, a second board, too many channels."""
    board = Board.create(2)
    one = server()
    with pytest.raises(ValueError, match="no slot 2"):
        one.report(board.fd, 2)
    with pytest.raises(OSError, match="descriptor"):
        one.report(-1, 0)
    with pytest.raises(ValueError, match="at most"):
        one.balance(0, [-1] * 5000)
    one.report(board.fd, 0)
    with pytest.raises(RuntimeError):
        one.report(board.fd, 1)
    one.close()
    board.close()


def test_channels_that_are_none_are_passed_over() -> None:
    """Numbers that no descriptor has stand for a worker that is not there."""
    board = Board.create(3)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one = server()
    one.report(board.fd, 0)
    one.balance(os.dup(ours.fileno()), [-5, 2**40, os.dup(theirs.fileno())])
    one.close()
    for end in (ours, theirs):
        end.close()
    board.close()


def test_times_beyond_any_that_a_log_waits() -> None:
    one = server()
    for milliseconds in (-1, 2**40, 0):
        one.finish_log(milliseconds)


def test_formats_of_the_access_log_that_are_refused() -> None:
    """With the place, and a part of what stands there."""
    for text, shown in (("%(nonsense)s", "nonsense"), ("%(h)s " + "%(x" * 30, "x")):
        with pytest.raises(ValueError, match="at position") as caught:
            _core.check_access_format(text)
        assert shown in str(caught.value)
    with pytest.raises(TypeError):
        _core.check_access_format(b"bytes")  # type: ignore[arg-type]
