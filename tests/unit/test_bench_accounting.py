"""The benchmark's reading of the kernel's CPU accounting."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench import accounting
from bench.accounting import Usage


def stat(pid: int, name: str, parent: int, user: int, system: int) -> str:
    return f"{pid} ({name}) S {parent} 1 1 0 -1 4194304 100 0 0 0 {user} {system} 0 0 20 0 1 0 5 0 0\n"


def fake_process(proc: Path, pid: int, parent: int, ticks: tuple[int, int], threads: dict[int, int]) -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "stat").write_text(stat(pid, "server", parent, *ticks))
    for tid, run in threads.items():
        (proc / str(pid) / "task" / str(tid)).mkdir(parents=True)
        (proc / str(pid) / "task" / str(tid) / "schedstat").write_text(f"{run} 77 3\n")


@pytest.mark.parametrize("name", ["python3", "a b", "odd) S 9 (", ""])
def test_stat_of_any_name(name: str) -> None:
    assert accounting.parse_stat(stat(10, name, 7, 123, 45)) == (7, 123, 45)


def test_descendants_of_a_tree() -> None:
    assert accounting.descendants(2, {1: 0, 2: 1, 3: 2, 4: 3, 5: 1, 6: 2}) == [2, 3, 4, 6]


def test_usage_covers_every_thread_of_the_tree(tmp_path: Path) -> None:
    fake_process(tmp_path, 10, 1, (5, 6), {10: 1000, 11: 200})
    fake_process(tmp_path, 20, 10, (1, 2), {20: 30})
    fake_process(tmp_path, 30, 1, (9, 9), {30: 9999})
    (tmp_path / "self").mkdir()
    tree = accounting.process_tree(10, tmp_path)
    assert tree == [10, 20]
    usage = accounting.read_usage(tree, tmp_path)
    assert usage == Usage({(10, 10): 1000, (10, 11): 200, (20, 20): 30}, 6, 8)


def test_a_process_that_has_ended_is_left_out(tmp_path: Path) -> None:
    assert accounting.read_usage([404], tmp_path) == Usage({}, 0, 0)


def test_spent_splits_the_time_by_the_ticks() -> None:
    before = Usage({(1, 1): 100, (1, 2): 50}, 10, 20)
    after = Usage({(1, 1): 500, (1, 3): 400}, 11, 23)
    assert accounting.spent(before, after) == accounting.Spent(total=800, user=200)


def test_spent_without_a_tick() -> None:
    assert accounting.spent(Usage({(1, 1): 1}, 1, 1), Usage({(1, 1): 3}, 1, 1)) == accounting.Spent(2, 0)


def test_a_real_child_that_computes_is_charged() -> None:
    code = "while True: pass"
    child = subprocess.Popen([sys.executable, "-c", code])
    try:
        before = accounting.read_usage([child.pid])
        time.sleep(0.3)
        tree = accounting.process_tree(os.getpid())
        cost = accounting.spent(before, accounting.read_usage([child.pid]))
    finally:
        child.kill()
        child.wait()
    assert child.pid in tree
    assert cost.total > 5e6


ROLLUP = "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 90 kB\nAnonymous:            {} kB\nSwap: 1 kB\n"


def test_memory_is_that_of_the_whole_tree_besides_files(tmp_path: Path) -> None:
    for pid, kilobytes in ((10, 12), (20, 30)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "smaps_rollup").write_text(ROLLUP.format(kilobytes))
    assert accounting.read_memory([10, 20, 404], tmp_path) == 42 * 1024


def test_memory_without_its_line_is_refused() -> None:
    with pytest.raises(ValueError, match="anonymous"):
        accounting.parse_anonymous("Rss: 90 kB\n")


def test_memory_of_this_process_grows_with_what_it_holds() -> None:
    before = accounting.read_memory([os.getpid()])
    fresh = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # what was freed before can not serve it
    held = mmap.mmap(-1, 8 << 20, flags=fresh)
    held.write(b"x" * (8 << 20))
    assert accounting.read_memory([os.getpid()]) - before >= len(held) // 2
