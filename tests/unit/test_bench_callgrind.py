"""The gate on instructions: reading callgrind's count, and what is too many."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import callgrind
from bench.environments import Unusable

LOG = "==12== Events    : Ir\n==12== Collected : 1234567890\n==12== \n"


def test_count_is_read_from_the_log() -> None:
    assert callgrind.parse_collected("INFO: started\n" + LOG) == 1234567890


@pytest.mark.parametrize("log", ["", "killed", LOG + LOG])
def test_a_log_without_one_count_is_refused(log: str) -> None:
    with pytest.raises(Unusable):
        callgrind.parse_collected(log)


def test_start_and_stop_cancel_out() -> None:
    start, each = 5_000_000, 1234
    few, many = start + each * callgrind.FEW, start + each * callgrind.MANY
    assert callgrind.per_request(few, many) == each


def test_counts_are_multiples_of_the_batches() -> None:
    assert all(
        number % depth == 0
        for number in (callgrind.FEW, callgrind.MANY)
        for depth in callgrind.SHAPES.values()
    )


@pytest.mark.parametrize(
    ("now", "before", "failed"),
    [(103, 100, False), (103.1, 100, True), (50, 100, False), (100, None, True)],
)
def test_more_than_the_tolerance_fails(now: float, before: float | None, failed: bool) -> None:
    assert callgrind.Change("trio one", now, before).failed is failed


def test_table_shows_the_change() -> None:
    changes = callgrind.compare(
        {"trio one": 1050, "curio one": 900, "new": 7}, {"trio one": 1000, "curio one": 1000}
    )
    lines = callgrind.table(changes).splitlines()[2:]
    assert lines == [
        "| trio one | 1,050 | 1,000 | +5.0% | **too many** |",
        "| curio one | 900 | 1,000 | -10.0% | ok |",
        "| new | 7 |  |  | not recorded |",
    ]


def test_nothing_recorded_yet(tmp_path: Path) -> None:
    assert callgrind.read_committed(tmp_path / "none.json") == ({}, {})
