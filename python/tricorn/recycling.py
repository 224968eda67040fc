"""When a worker that works is replaced by a fresh one: after so many requests, so long, or with so much memory."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

from tricorn.config import Config

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one worker may reach, with its own share of the jitter; ``None`` is no bound.

    Attributes:
        requests: Requests that it has begun.
        seconds: Its age.
        memory: Bytes of resident memory.
    """

    requests: int | None = None
    seconds: float | None = None
    memory: int | None = None

    @classmethod
    def draw(cls, config: Config) -> Bounds:
        """Return the bounds of the options for a new worker, each with some jitter."""
        requests = config.limit_max_requests
        seconds = config.workers_lifetime
        memory = config.workers_max_rss
        return cls(
            None if requests is None else requests + random.randint(0, config.limit_max_requests_jitter),
            None if seconds is None else seconds + random.uniform(0, config.workers_lifetime_jitter),
            None if memory is None else (memory + random.randint(0, config.workers_max_rss_jitter)) * MIB,
        )

    def reached(self, requests: int, seconds: float, pid: int) -> str | None:
        """Return why a worker is to be replaced, in words; ``None`` while it may go on.

        Args:
            requests: How many it has begun.
            seconds: How old it is.
            pid: Its process.
        """
        if self.requests is not None and requests >= self.requests:
            return f"it has served {requests} requests"
        if self.seconds is not None and seconds >= self.seconds:
            return f"it is {seconds:.0f} s old"
        if self.memory is not None and (memory := resident(pid)) >= self.memory:
            return f"it takes {memory / MIB:.0f} MiB"
        return None


def resident(pid: int) -> int:
    """Return the bytes of a process that are in memory; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
