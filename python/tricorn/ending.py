"""The end of a process that is a server's own, whatever its application does."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from typing import Final

from tricorn import _core

FORCED: Final = 4
"""The exit code of a process that was ended by force."""

IMPATIENCE: Final = 1.0
"""Seconds that the process may take to act on a signal that is to end it at once."""

ORPHAN_GRACE: Final = 10.0
"""Seconds that requests may go on for once the supervisor has gone, where the options set no limit."""

ORPHANED: Final = 5.0
"""Seconds that the process has after that."""

MESSAGE_MOST: Final = 1000

_logger = logging.getLogger("tricorn.error")


class Deadline:
    """What ends the process when a stop takes too long, by a thread in C that needs nothing of Python.

    Args:
        seconds: How long the end of a stop may take, 0 for as long as it does.
        supervisor: The process that sees to it that this one ends; once it has gone, a stop takes at most
            :data:`ORPHANED` seconds more than requests have.
    """

    def __init__(self, seconds: float, supervisor: int = 0) -> None:
        self._seconds = seconds
        self._supervisor = supervisor
        self._at: float | None = None

    def heed(self, signals: Sequence[int], delay: float, grace: float | None) -> None:
        """Have the signals set a deadline by themselves, so that a process which never acts on them ends as well.

        Args:
            signals: Their numbers; the handlers are in place.
            delay: Seconds for which the first signal lets the server go on serving; another ends that.
            grace: Seconds that requests may go on for, ``None`` for any time.
        """
        if not self._seconds and not self._supervisor:
            return
        after = 0.0 if grace is None or not self._seconds else grace + self._seconds
        steps = (after, self._seconds, IMPATIENCE if self._seconds else 0.0)
        if self._supervisor:  # further ones say nothing new: what hurries a worker is another signal
            steps = (after and delay + after,) * 3
        elif delay:
            steps = (after and delay + after, after, self._seconds)
        line = _line(
            "Ended by force: the process has not acted on a signal; something holds the interpreter."
        )
        left = (ORPHAN_GRACE if grace is None else grace) + ORPHANED
        _core.heed_signals(signals, steps, line, FORCED, self._supervisor, left)

    @property
    def is_orphaned(self) -> bool:
        """Whether the supervisor has gone."""
        return bool(self._supervisor) and os.getppid() != self._supervisor

    def begin(self, at_work: str) -> None:
        """Start the clock, unless it runs, and tell what the log is to say is still at work when time is up."""
        if not self._seconds:
            return
        if self._at is None:
            self._at = time.monotonic() + self._seconds
        text = f"Ended by force after {self._seconds:g} s more (--timeout-forced-shutdown): {at_work}."
        _core.deadline(max(self._at - time.monotonic(), 0.001), _line(text), FORCED)

    def end(self) -> None:
        """The process goes on: nothing ends it any more."""
        _core.deadline(0, b"", 0)


def _line(text: str) -> bytes:
    """Return a line as the log would show it, where its handler can tell."""
    record = _logger.makeRecord(_logger.name, logging.ERROR, __file__, 0, text, (), None)
    handlers = logging.getLogger("tricorn").handlers
    line = handlers[0].format(record) if handlers else text
    return line.encode(errors="backslashreplace")[:MESSAGE_MOST] + b"\n"
