"""The end by force: when the time begins, what the log is told, and what signals set."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tricorn import _core, ending
from tricorn.ending import Deadline

TERM = (15,)


class Core:
    """Notes what the core is told."""

    def __init__(self) -> None:
        self.deadlines: list[tuple[float, bytes, int]] = []
        self.heeded: list[Any] = []


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Iterator[Core]:
    """The core's calls, which end nothing."""
    core = Core()
    monkeypatch.setattr(_core, "deadline", lambda *args: core.deadlines.append(args))
    monkeypatch.setattr(_core, "heed_signals", lambda *args: core.heeded.append(args))
    monkeypatch.setattr(logging.getLogger("tricorn"), "handlers", [])
    return core


def test_no_deadline(core: Core) -> None:
    """0 is none."""
    deadline = Deadline(0)
    deadline.heed(TERM, 1, 2)
    deadline.begin("something")
    assert (core.deadlines, core.heeded) == ([], [])
    deadline.end()
    assert core.deadlines == [(0, b"", 0)]


def test_the_time_begins_once(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is at work changes, the time goes on; when it is over the end comes at once."""
    now = 100.0
    monkeypatch.setattr(ending.time, "monotonic", lambda: now)
    deadline = Deadline(10)
    deadline.begin("first")
    now = 107.0
    deadline.begin("second")
    now = 200.0
    deadline.begin("third")
    assert [seconds for seconds, _, _ in core.deadlines] == [10, 3, 0.001]
    assert [code for _, _, code in core.deadlines] == [ending.FORCED] * 3
    assert core.deadlines[1][1] == b"Ended by force after 10 s more (--timeout-forced-shutdown): second.\n"


@pytest.mark.parametrize(
    ("delay", "grace", "steps"),
    [
        (0, None, (0, 5, ending.IMPATIENCE)),
        (0, 20, (25, 5, ending.IMPATIENCE)),
        (0, 0, (5, 5, ending.IMPATIENCE)),
        (7, None, (0, 0, 5)),
        (7, 20, (32, 25, 5)),
    ],
)
def test_signals(core: Core, delay: float, grace: float | None, steps: tuple[float, ...]) -> None:
    """Each has what the phases after it may take; one that ends the delay is not the second."""
    Deadline(5).heed(TERM, delay, grace)
    assert [(numbers, given, code) for numbers, given, _, code, *_ in core.heeded] == [
        (TERM, steps, ending.FORCED)
    ]


@pytest.mark.parametrize(("delay", "grace", "after"), [(0, None, 0), (0, 20, 25), (7, 20, 32)])
def test_further_signals_to_a_worker_take_no_time_away(
    core: Core, delay: float, grace: float | None, after: float
) -> None:
    """It may have each from its supervisor and from whoever has told that one."""
    Deadline(5, supervisor=1).heed(TERM, delay, grace)
    assert core.heeded[0][1] == (after, after, after)


def test_a_line_as_the_log_has_it(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the format of its handler, at most so long as can be written at once."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s/%(name)s %(message)s"))
    monkeypatch.setattr(logging.getLogger("tricorn"), "handlers", [handler])
    deadline = Deadline(1)
    deadline.begin("\udcff" * 5000)
    line = core.deadlines[0][1]
    assert line.startswith(b"ERROR/tricorn.error Ended by force after 1 s more")
    assert len(line) == ending.MESSAGE_MOST + 1 and line.endswith(b"\n")
