"""Threads for what blocks: a bounded number of daemons, none of an async library's, and a line before them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Protocol


class Job(Protocol):
    """What a thread runs."""

    def run(self) -> None:
        """Do it; raises nothing."""
        ...


class _Worker:
    """One thread: its next job, and the lock that it waits at while it has none."""

    __slots__ = ("job", "wake")

    def __init__(self, job: Job) -> None:
        self.job: Job | None = job
        self.wake = threading.Lock()
        self.wake.acquire()


class Threads:
    """Runs jobs in threads that are made as they are needed and kept; a job waits in line when all are at work.

    The threads are daemons: one that is stuck does not keep the process from ending.

    Args:
        most: How many threads there are at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._line: OrderedDict[Job, None] = OrderedDict()
        self._threads = 0
        self._started: list[threading.Thread] = []
        self._closed = False

    def submit(self, job: Job) -> None:
        """Have a job run: by the thread that was last at work, by a new one, or when it is its turn. Never waits.

        Raises:
            RuntimeError: There is no thread, and none can be started.
        """
        with self._lock:
            if self._idle or self._threads >= self._most:
                self._hand_over(job)
                return
            self._threads += 1
        try:
            self._start(job)
        except RuntimeError:
            with self._lock:
                self._threads -= 1
                if not self._threads:
                    raise
                self._hand_over(job)

    def withdraw(self, job: Job) -> bool:
        """Take a job out of the line; tells whether it was still there: then it is never run."""
        with self._lock:
            return self._line.pop(job, self) is None

    @property
    def busy(self) -> int:
        """How many threads are at work."""
        with self._lock:
            return self._threads - len(self._idle)

    @property
    def alive(self) -> int:
        """How many threads have not come to their end yet, be it that they wait, work or leave."""
        with self._lock:
            return sum(thread.is_alive() for thread in self._started)

    def close(self) -> None:
        """Have every thread end that has nothing to do, and the others when they have done it; waits for none."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            self._threads -= len(idle)
        for worker in idle:
            worker.wake.release()

    def _start(self, job: Job) -> None:
        worker = _Worker(job)
        thread = threading.Thread(target=self._work, args=(worker,), name="tricorn-wsgi", daemon=True)
        thread.start()
        with self._lock:
            self._started.append(thread)

    def _hand_over(self, job: Job) -> None:
        """Give a job to a thread that waits for one, else put it in line; with the lock held."""
        if self._idle:
            worker = self._idle.pop()
            worker.job = job
            worker.wake.release()
        else:
            self._line[job] = None

    def _work(self, worker: _Worker) -> None:
        """Run job after job."""
        while True:
            job, worker.job = worker.job, None
            if job is None:
                return
            job.run()
            del job  # what waits for the next must not keep the last
            if self._waits(worker):
                worker.wake.acquire()

    def _waits(self, worker: _Worker) -> bool:
        """Give a worker its next job, or no more; else it is to wait until it is woken with one."""
        with self._lock:
            if self._line:
                worker.job = self._line.popitem(last=False)[0]
            elif self._closed:
                self._threads -= 1
            else:
                self._idle.append(worker)
                return True
        return False
