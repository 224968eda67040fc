"""The access log as the binding sets it up: each way that a request's line can take, and calls that fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest
from core_bench import REQUEST, Bench, answer

from tricorn import _core

USUAL: dict[str, Any] = {
    "format": "%(m)s %(U)s %(s)s %(b)s %(library)s",
    "excluded": b"/healthz\0",
    "colors": False,
    "library": "bench",
    "seed": 2**64 - 1,
    "fd": -1,
    "piece": 0,
    "call": None,
    "text": False,
    "on_lost": lambda *_: None,
}

Benches = Callable[..., Bench]


def serve(at: Bench, *requests: bytes) -> None:
    """Have requests answered one after another, each with 200."""
    runner = at.leader()
    for request in requests:
        at.client.sendall(request)
        while (trap := runner.send(None)) == "checkpoint":
            continue  # a slow machine has used up the batch's time
        assert trap == "wait"
        assert at.status() == 200


HEALTH = REQUEST.replace(b" / ", b" /healthz ", 1)
ODD = REQUEST.replace(b" / ", b' /a"b ', 1)


def test_to_a_descriptor(bench: Benches) -> None:
    """Lines are there when the leader waits again; a second log is refused."""
    at = bench(answer)
    reader, writer = os.pipe()
    at.server.log_access(**USUAL | {"fd": writer})
    with pytest.raises(RuntimeError):
        at.server.log_access(**USUAL | {"fd": writer})
    serve(at, REQUEST, HEALTH)
    assert os.read(reader, 100) == b"GET / 200 2 bench\n"
    at.server.finish_log(0)
    os.close(writer)
    assert os.read(reader, 100) == b""
    os.close(reader)


def test_by_a_call_with_a_line(bench: Benches) -> None:
    at = bench(answer)
    lines: list[str] = []
    at.server.log_access(**USUAL | {"call": lines.append, "text": True})
    serve(at, REQUEST, HEALTH, ODD)
    assert lines == ["GET / 200 2 bench", "GET /a\\x22b 200 2 bench"]


def test_by_a_call_with_data(bench: Benches) -> None:
    at = bench(answer)
    told: list[Any] = []
    at.server.log_access(**USUAL | {"call": lambda *data: told.append(data)})
    serve(at, REQUEST, HEALTH, ODD)
    assert [data[1:] for data in told] == [("GET", "/", "1.1", 200), ("GET", '/a"b', "1.1", 200)]
    assert told[0][0] == at.client.getsockname()


def test_not_at_all(bench: Benches) -> None:
    """What the constructor was given no longer counts."""
    told: list[Any] = []
    at = bench(answer, access_log=lambda *data: told.append(data))
    at.server.log_access(**USUAL)
    serve(at, REQUEST)
    assert told == []


def test_calls_that_fail(bench: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told as what nobody can catch; requests go on."""
    told: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: told.append(args.exc_type))

    def fail(*_: object) -> None:
        raise LookupError("the log is broken")

    for text in (True, False):
        at = bench(answer)
        at.server.log_access(**USUAL | {"call": fail, "text": text})
        serve(at, REQUEST)
    at = bench(answer)
    reader, writer = os.pipe()
    os.close(reader)
    at.server.log_access(**USUAL | {"fd": writer, "on_lost": fail})
    serve(at, REQUEST)
    os.close(writer)
    assert told == [LookupError] * 3


def test_lost_lines(bench: Benches) -> None:
    """The first are told at once, the others at the end."""
    at = bench(answer)
    lost: list[Any] = []
    reader, writer = os.pipe()
    os.close(reader)
    at.server.log_access(**USUAL | {"fd": writer, "on_lost": lambda *data: lost.append(data)})
    serve(at, REQUEST, REQUEST, REQUEST)
    at.server.finish_log(0)
    os.close(writer)
    assert sum(lines for lines, _ in lost) == 3 and {why for _, why in lost} == {errno.EPIPE}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"format": "%(x)s"}, ValueError),
        ({"format": 5}, TypeError),
        ({"excluded": "/"}, TypeError),
        ({"fd": "x"}, TypeError),
        ({"seed": "x"}, TypeError),
    ],
)
def test_wrong_arguments(bench: Benches, change: dict[str, Any], error: type[Exception]) -> None:
    at = bench(answer)
    with pytest.raises(error):
        at.server.log_access(**USUAL | change)
    with pytest.raises(TypeError):
        at.server.finish_log("x")  # type: ignore[arg-type]


def test_check_of_a_format() -> None:
    assert _core.check_access_format("combined") is None  # type: ignore[func-returns-value]
    with pytest.raises(ValueError, match=r"^there is no such atom, at position 5: '%\(nö\)s %\(s\)s'$"):
        _core.check_access_format("%(h)s%(nö)s %(s)s")
    with pytest.raises(TypeError):
        _core.check_access_format(b"x")  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        _core.check_access_format("\udc80")
