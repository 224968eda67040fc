"""Signals wake every library's loop, also where the kernel does not: in a thread beside, or just before the wait."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tricorn._backends import load
from tricorn._backends._signals import drain, signal_reader

LIBRARIES = ("asyncio", "uvloop", "trio", "curio", "none")


@pytest.fixture
def came() -> Iterator[list[float]]:
    """When SIGUSR2 was handled."""
    times: list[float] = []
    before = signal.signal(signal.SIGUSR2, lambda *_: times.append(time.monotonic()))
    yield times
    signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_signal_to_another_thread_wakes_the_loop(library: str, came: list[float]) -> None:
    """The system call that the loop waits in is not interrupted; twice, as the first might be lucky."""
    backend = load(library)
    waits = 2.0

    def send() -> None:
        for _ in range(2):
            time.sleep(0.2)
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)

    async def main() -> float:
        threading.Thread(target=send).start()
        await backend.sleep(waits)
        return time.monotonic()

    ended = backend.run(main)
    assert len(came) == 2
    assert ended - came[-1] > waits / 4
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_run_in_another_thread_leaves_signals_alone(library: str) -> None:
    backend, results = load(library), []

    async def main() -> int:
        await backend.sleep(0)
        return 7

    thread = threading.Thread(target=lambda: results.append(backend.run(main)))
    thread.start()
    thread.join()
    assert results == [7] and signal.set_wakeup_fd(-1) == -1


def test_whoever_wakes_the_loop_already_is_left(came: list[float]) -> None:
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        with signal_reader() as ours:
            assert ours is None
        assert signal.set_wakeup_fd(-1) == writer.fileno()


def test_whoever_comes_later_stays(came: list[float]) -> None:
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        with signal_reader() as ours:
            assert ours is not None
            signal.raise_signal(signal.SIGUSR2)
            assert ours.recv(10) == bytes([signal.SIGUSR2])
            signal.raise_signal(signal.SIGUSR2)
            drain(ours)
            drain(ours)
            with pytest.raises(BlockingIOError):
                ours.recv(10)
            signal.set_wakeup_fd(writer.fileno())
        assert signal.set_wakeup_fd(-1) == writer.fileno()
    assert len(came) == 2
