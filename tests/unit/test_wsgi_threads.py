"""The threads of WSGI applications, without a server: who runs what, when, and what is left in the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tricorn.wsgi.threads import Threads


class Job:
    """Runs until it is let go; keeps where it ran."""

    def __init__(self, *, waits: bool = True) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None
        if not waits:
            self.go.set()

    def run(self) -> None:
        """Wait, and note."""
        self.thread = threading.current_thread()
        self.begun.set()
        assert self.go.wait(10)
        self.ended.set()

    def finish(self) -> None:
        """Let it go, and wait for its end."""
        self.go.set()
        assert self.ended.wait(10)


def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_jobs_beyond_the_threads_wait_in_line() -> None:
    threads, jobs = Threads(2), [Job() for _ in range(4)]
    for job in jobs:
        threads.submit(job)
    assert jobs[0].begun.wait(10) and jobs[1].begun.wait(10)
    assert threads.busy == 2 and not jobs[2].begun.is_set()
    jobs[1].finish()
    assert jobs[2].begun.wait(10) and not jobs[3].begun.is_set()
    for job in (jobs[0], jobs[2], jobs[3]):
        job.finish()
    assert len({job.thread for job in jobs}) == 2
    until(lambda: threads.busy == 0)
    threads.close()


def test_a_job_that_is_withdrawn_never_runs() -> None:
    """As long as it is in line; afterwards it is told that it is too late."""
    threads, first, second, third = Threads(1), Job(), Job(), Job()
    for job in (first, second, third):
        threads.submit(job)
    assert first.begun.wait(10)
    assert threads.withdraw(second) and not threads.withdraw(second) and not threads.withdraw(first)
    first.finish()
    assert third.begun.wait(10) and not second.begun.is_set()
    third.finish()
    threads.close()


def test_a_thread_that_is_idle_is_taken_before_a_new_one() -> None:
    """The one that was last at work, whose memory is warm."""
    threads, first, second = Threads(8), Job(), Job()
    threads.submit(first)
    threads.submit(second)
    first.finish()
    until(lambda: threads.busy == 1)
    second.finish()
    until(lambda: threads.busy == 0)
    for _ in range(5):
        job = Job(waits=False)
        threads.submit(job)
        assert job.ended.wait(10) and job.thread is second.thread
        until(lambda: threads.busy == 0)
    threads.close()


def test_closing_ends_threads() -> None:
    """Those that are idle at once, the others after their job and what is in line."""
    threads, idle, working, waiting = Threads(2), Job(waits=False), Job(), Job(waits=False)
    threads.submit(working)
    assert working.begun.wait(10)
    threads.submit(idle)
    assert idle.ended.wait(10)
    until(lambda: threads.busy == 1)
    threads.close()
    assert idle.thread is not None and working.thread is not None
    idle.thread.join(10)
    assert not idle.thread.is_alive() and working.thread.daemon
    working.finish()
    working.thread.join(10)
    assert not working.thread.is_alive() and threads.busy == threads.alive == 0
    threads.submit(waiting)  # comes late: it is run all the same
    assert waiting.ended.wait(10)


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first job is refused; a later one waits for a thread that is there."""
    start = threading.Thread.start

    def failing(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    threads, first, second = Threads(4), Job(), Job(waits=False)
    monkeypatch.setattr(threading.Thread, "start", failing)
    with pytest.raises(RuntimeError, match="can't start"):
        threads.submit(first)
    assert threads.busy == 0
    monkeypatch.setattr(threading.Thread, "start", start)
    threads.submit(first)
    assert first.begun.wait(10)
    monkeypatch.setattr(threading.Thread, "start", failing)
    threads.submit(second)
    first.finish()
    assert second.ended.wait(10) and second.thread is first.thread
    threads.close()


def test_many_at_once() -> None:
    """Each job runs once, whoever submits and withdraws meanwhile."""
    threads = Threads(3)
    ran: list[int] = []
    withdrawn: list[int] = []

    class Counted:
        def __init__(self, number: int) -> None:
            self.number = number

        def run(self) -> None:
            ran.append(self.number)

    def submit(base: int) -> None:
        for number in range(base, base + 500):
            job = Counted(number)
            threads.submit(job)
            if number % 3 == 0 and threads.withdraw(job):
                withdrawn.append(number)

    submitters = [threading.Thread(target=submit, args=(base,)) for base in (0, 1000, 2000)]
    for submitter in submitters:
        submitter.start()
    for submitter in submitters:
        submitter.join()
    until(lambda: len(ran) + len(withdrawn) == 1500)
    assert len(set(ran) | set(withdrawn)) == 1500
    threads.close()
