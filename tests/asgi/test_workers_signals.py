"""Signals to worker processes: from a terminal, from a manager of services, at the start, and to what they fork."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from command import Run, open_url
from crews import children, gone, kill, ready
from harness import APPS, until

APP = "crew:app"
SPAWNED = pytest.mark.parametrize("options", [(), ("--preload",)], ids=["spawn", "preload"])


def usual(library: str, *more: str) -> tuple[str, ...]:
    options = ("--port", "0", "--workers", "2", "--no-access-log")
    return (APP, "--app-dir", str(APPS), "--async-library", library, *options, *more)


@pytest.mark.parametrize("options", [(), ("--drain-delay", "0.5")], ids=["plain", "drained"])
def test_a_stop_that_every_process_is_told_of_is_graceful(
    run: Run, library: str, options: tuple[str, ...]
) -> None:
    """As systemd does by default: the workers have the signal twice, and still let requests end."""
    server = run(*usual(library, *options))
    workers = ready(server, 2)
    with open_url(server.urls()[0]) as client:
        client.request(target="/wait?2")
        time.sleep(0.2)
        for pid in (*workers, server.process.pid, *workers):
            kill(pid, signal.SIGTERM)
        assert client.answer().status == 200
    assert server.wait() == 0
    assert server.access().count("shutdown") == 2
    assert "Cancelling" not in server.log()


@pytest.mark.parametrize("options", [(), ("--drain-delay", "30")], ids=["plain", "drained"])
@pytest.mark.parametrize("terminal", [False, True], ids=["supervisor", "terminal"])
def test_quit_cancels_what_is_at_work(
    run: Run, library: str, terminal: bool, options: tuple[str, ...]
) -> None:
    """At once, also where a terminal sends it to every process; the application's shutdown is run all the same."""
    server = run(*usual(library, *options))
    workers = ready(server, 2)
    with open_url(server.urls()[0]) as client:
        client.request(target="/wait?60")
        time.sleep(0.3)
        for pid in workers if terminal else ():
            kill(pid, signal.SIGQUIT)
        server.send_signal(signal.SIGQUIT)
        assert server.wait(10) == 128 + signal.SIGQUIT
    assert server.access().count("shutdown") == 2
    assert server.log().count("has ended with exit code 0") == 2
    assert "Ended by" not in server.log()


@SPAWNED
def test_log_files_are_reopened_in_every_worker(
    run: Run, library: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    log = tmp_path / "access"
    server = run(*usual(library, "--access-log", "--access-log-file", str(log), *options))
    ready(server, 2)
    log.rename(tmp_path / "rotated")
    server.send_signal(signal.SIGUSR1)
    until(log.exists, "the new file")
    time.sleep(0.3)
    clients = [open_url(server.urls()[0]) for _ in range(10)]
    for client in clients:
        client.ask()
        client.close()
    assert server.stop() == 0
    assert len(log.read_text().splitlines()) == 10


@SPAWNED
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT, signal.SIGHUP])
def test_a_worker_that_starts_is_not_ended_by_what_is_no_reason_to(
    run: Run, library: str, number: int, options: tuple[str, ...]
) -> None:
    """From its very first moment."""
    server = run(*usual(library, *options))
    first = ready(server, 2)
    server.send_signal(signal.SIGHUP)
    seen: set[int] = set()

    def all_seen() -> bool:
        fresh = set(children(server.process.pid)) - seen - set(first)
        for pid in fresh:
            kill(pid, number)
        seen.update(fresh)
        return len(seen) >= 2

    deadline = time.monotonic() + 20
    while not all_seen() and time.monotonic() < deadline:
        pass  # as early as can be
    assert set(ready(server, 4)[2:]) == seen
    assert server.stop() == 0


def test_a_log_file_is_reopened_by_a_worker_that_starts(run: Run, library: str, tmp_path: Path) -> None:
    """It has the old one open already."""
    slow, log = tmp_path / "slow", tmp_path / "error"
    server = run(*usual(library), environment={"CREW_SLOW": str(slow), "TRICORN_ACCESS_LOG_FILE": str(log)})
    first = ready(server, 2)
    slow.write_text("1")
    kill(first[0], signal.SIGKILL)
    until(lambda: len(set(children(server.process.pid)) - set(first)) == 1, "another worker")
    time.sleep(0.3)
    log.rename(tmp_path / "rotated")
    server.send_signal(signal.SIGUSR1)
    fresh = ready(server, 3)[2]
    opened = {str(entry.readlink()) for entry in Path(f"/proc/{fresh}/fd").iterdir()}
    assert str(tmp_path / "rotated") not in opened
    assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_an_application_forks_is_ended_as_usual(run: Run, library: str, workers: str) -> None:
    """The server's handlers are not for it."""
    server = run(*usual(library, "--workers", workers))
    server.wait_ready()
    with open_url(server.urls()[0]) as client:
        assert client.ask(target="/child").json() == -signal.SIGTERM
    assert server.stop() == 0


def test_what_waits_to_be_written_is_written_once(run: Run, library: str) -> None:
    """A fork has a copy of the buffer."""
    server = run(*usual(library, "--preload"), environment={"CREW_SAYS": "1"})
    ready(server, 2)
    assert server.stop() == 0
    assert server.access().count("imported") == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root may change its user")
def test_workers_that_change_their_user_end_with_their_supervisor(run: Run, library: str) -> None:
    server = run(*usual(library), environment={"CREW_USER": "65534"})
    workers = ready(server, 2)
    server.send_signal(signal.SIGKILL)
    server.process.wait(20)
    until(lambda: gone(workers), "the end of the workers")


def test_workers_that_were_frozen_with_their_supervisor_go_on(run: Run, library: str) -> None:
    """As a container that is paused: who is let go on first sees the others stand still."""
    server = run(*usual(library, "--timeout-worker-healthcheck", "1"))
    workers = ready(server, 2)
    everybody = (server.process.pid, *workers)
    for pid in everybody:
        kill(pid, signal.SIGSTOP)
    time.sleep(3)
    for pid in everybody:
        kill(pid, signal.SIGCONT)
        time.sleep(0.3)
    assert "stood still" not in server.log()
    assert server.stop() == 0
    assert gone(workers)


def test_successors_that_cannot_start_are_tried_later_and_later(
    run: Run, library: str, tmp_path: Path
) -> None:
    """A worker that is to be replaced for its age goes on meanwhile."""
    broken = tmp_path / "broken"
    server = run(
        *usual(library, "--workers", "1", "--workers-lifetime", "1"), environment={"CREW_BROKEN": str(broken)}
    )
    ready(server, 1)
    server.allows_alarms = True
    broken.touch()
    until(lambda: server.log().count("The worker before it goes on") == 2, "two that cannot start")
    time.sleep(1.5)
    assert server.log().count("The worker before it goes on") == 2
    assert server.stop() == 0
