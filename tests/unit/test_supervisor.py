"""What a supervisor decides, with workers that are none."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tricorn import spawning, supervisor
from tricorn.config import Config
from tricorn.crew import Slot, Worker
from tricorn.recycling import Bounds
from tricorn.supervisor import Supervisor


class Process:
    """A process that lives until it is told otherwise; ``told`` has the signals."""

    def __init__(self) -> None:
        self.pid = 1
        self.channel, self.other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.code: int | None = None
        self.told: list[int] = []

    def poll(self) -> int | None:
        return self.code

    def kill(self, number: int) -> None:
        self.told.append(number)

    def close(self) -> None:
        self.channel.close()
        self.other.close()


def worker(slot: Slot, *, age: float = 0.0, ready: bool = False) -> Worker:
    now = time.monotonic()
    return Worker(Process(), slot, 0, Bounds(), now - age, ready, now)  # type: ignore[arg-type]


@pytest.fixture
def one() -> Iterator[Supervisor]:
    """A supervisor with one slot, whose worker is ready."""
    one = Supervisor(Config("app:app", port=0, workers=2))
    slot = Slot(0, [])
    slot.worker = worker(slot, age=60, ready=True)
    one._crew.slots.append(slot)
    yield one
    for each in one._crew.workers:
        each.process.close()
    one._selector.close()
    for end in (one._woken, one._waker):
        end.close()


def process(worker: Worker | None) -> Process:
    assert worker is not None
    assert isinstance(worker.process, Process)
    return worker.process


def test_a_channel_that_was_closed_is_not_listened_to(one: Supervisor) -> None:
    """It would be readable for ever: an application may close all descriptors that it does not know."""
    slot = one._crew.slots[0]
    assert slot.worker is not None
    one._watch(slot.worker)
    process(slot.worker).other.close()
    one._on_message(slot.worker)
    assert process(slot.worker).channel not in [key.fileobj for key in one._selector.get_map().values()]


def test_a_successor_that_hangs_is_given_up_at_the_next_hangup(one: Supervisor) -> None:
    """One that only just began is waited for."""
    slot = one._crew.slots[0]
    slot.successor = worker(slot, age=1)
    one._on_hangup(signal.SIGHUP)
    assert process(slot.successor).told == []
    slot.successor.born -= supervisor.HUNG
    one._on_hangup(signal.SIGHUP)
    assert process(slot.successor).told == [signal.SIGTERM]
    assert slot.successor.kill_at is not None
    process(slot.successor).other.send(spawning.READY + b"asyncio")
    one._on_message(slot.successor)
    assert slot.worker is not None and not slot.worker.stopping, "what is ending takes nobody's place"


@pytest.mark.parametrize("again", [False, True])
def test_a_hangup_while_a_successor_fails_is_not_forgotten(one: Supervisor, again: bool) -> None:
    """A failure ends the round that it belongs to, and no later one."""
    slot = one._crew.slots[0]
    one._on_hangup(signal.SIGHUP)
    failing = worker(slot)
    if again:
        time.sleep(0.001)
        one._on_hangup(signal.SIGHUP)
    one._on_end(failing, 3)
    failing.process.close()
    assert len(one._to_replace) == again


def test_hurrying_never_gives_more_time(one: Supervisor) -> None:
    slot = one._crew.slots[0]
    assert slot.worker is not None
    slot.worker.stop(3)
    before = slot.worker.kill_at
    slot.worker.hurry(30)
    assert slot.worker.kill_at == before
    assert process(slot.worker).told == [signal.SIGTERM, signal.SIGQUIT]


def test_quit_hurries_a_worker_without_another_signal_before(one: Supervisor) -> None:
    """Two at once might come as one, or the first be acted on until the second ends the process."""
    one._on_quit(signal.SIGQUIT)
    assert process(one._crew.slots[0].worker).told == [signal.SIGQUIT]
    one._on_quit(signal.SIGQUIT)
    assert process(one._crew.slots[0].worker).told == [signal.SIGQUIT, signal.SIGKILL]
