"""When a worker has done enough."""

from __future__ import annotations

import os

from tricorn.config import Config
from tricorn.recycling import MIB, Bounds, resident


def test_nothing_is_bounded_by_default() -> None:
    assert Bounds.draw(Config("a:b")) == Bounds()
    assert Bounds().reached(10**9, 10.0**9, os.getpid()) is None


def test_each_bound_is_drawn_with_its_jitter() -> None:
    """Each worker has its own, so that they are not all replaced at once."""
    config = Config(
        "a:b",
        limit_max_requests=100,
        limit_max_requests_jitter=50,
        workers_lifetime=60,
        workers_lifetime_jitter=10,
        workers_max_rss=200,
        workers_max_rss_jitter=20,
    )
    drawn = [Bounds.draw(config) for _ in range(200)]
    requests = [one.requests for one in drawn if one.requests is not None]
    seconds = [one.seconds for one in drawn if one.seconds is not None]
    memory = [one.memory for one in drawn if one.memory is not None]
    for values, low, high in ((requests, 100, 150), (seconds, 60, 70), (memory, 200 * MIB, 220 * MIB)):
        assert len(set(values)) > 5
        assert low <= min(values) <= max(values) <= high


def test_the_reason_is_told() -> None:
    pid = os.getpid()
    assert Bounds(requests=10).reached(9, 0, pid) is None
    assert Bounds(requests=10).reached(10, 0, pid) == "it has served 10 requests"
    assert Bounds(seconds=5).reached(0, 5.2, pid) == "it is 5 s old"
    assert "MiB" in (Bounds(memory=1).reached(0, 0, pid) or "")
    assert Bounds(memory=2**50).reached(0, 0, pid) is None


def test_memory_of_a_process() -> None:
    assert MIB < resident(os.getpid()) < 2**40
    assert resident(2**22 + 1) == 0
