"""Worker processes: they share the load, come back, are replaced without a lost request, and leave nothing behind."""

from __future__ import annotations

import itertools
import signal
import time
from pathlib import Path

import pytest
from command import Run, fails, open_url
from crews import Load, alive, children, gone, kill, ready
from harness import APPS, Client, until

APP = "crew:app"


def usual(library: str, *more: str) -> tuple[str, ...]:
    return (APP, "--app-dir", str(APPS), "--async-library", library, "--port", "0", *more)


def pid_of(client: Client) -> int:
    return int(client.ask().json()["pid"])


def test_connections_are_shared_evenly(run: Run, library: str) -> None:
    """Each of two workers has 45 to 55 of 100 connections, whatever the kernel's hash says."""
    server = run(*usual(library, "--workers", "2", "--no-access-log"))
    workers = ready(server, 2)
    url = server.urls()[0]
    clients = [open_url(url) for _ in range(100)]
    try:
        counts = [sum(pid == worker for pid in map(pid_of, clients)) for worker in workers]
    finally:
        for client in clients:
            client.close()
    assert sum(counts) == 100
    assert 45 <= min(counts) <= 55, counts
    assert server.stop() == 0
    assert gone(workers)


@pytest.mark.parametrize(
    "options", [(), ("--worker-sockets", "shared"), ("--preload",)], ids=["own", "shared", "preload"]
)
def test_a_killed_worker_comes_back(run: Run, library: str, options: tuple[str, ...]) -> None:
    """Those who have connected meanwhile are served by its successor, or by the others; the log says what happened."""
    server = run(*usual(library, "--workers", "2", "--no-access-log", *options))
    first = ready(server, 2)
    load = Load(server.urls()[0], 0)
    for pid in first:
        kill(pid, signal.SIGKILL)
    clients = [open_url(load.url) for _ in range(20)]
    fresh = ready(server, 4)[2:]
    assert set(map(pid_of, clients)) <= set(fresh)
    assert server.log().count("was ended by SIGKILL: starting another") == 2
    assert server.stop() == 0
    assert gone(first + fresh)


def test_a_slot_that_waits_to_start_keeps_nobody_waiting(run: Run, library: str) -> None:
    """While one worker crashes again and again, new connections go to the other."""
    server = run(*usual(library, "--workers", "2", "--no-access-log"))
    first = ready(server, 2)
    for count in range(3, 6):
        kill(ready(server, count - 1)[-1], signal.SIGKILL)
        until(lambda: f"{count - 2} SIGKILL" in counted(server.log()), "the end of the worker")  # noqa: B023  # at once
    begun = time.monotonic()
    for _ in range(20):
        with open_url(server.urls()[0]) as client:
            assert pid_of(client) == first[0]
    assert time.monotonic() - begun < 0.9
    assert server.stop() == 0


def counted(log: str) -> str:
    """Return how many workers were ended by SIGKILL, in words."""
    return f"{log.count('was ended by SIGKILL')} SIGKILL"


def test_an_application_that_ends_its_process_is_started_again(run: Run, library: str) -> None:
    server = run(*usual(library, "--workers", "2", "--no-access-log"))
    ready(server, 2)
    with open_url(server.urls()[0]) as client:
        client.request(target="/exit?7")
        assert client.closed()
    ready(server, 3)
    assert "has ended with exit code 7: starting another" in server.log()
    assert server.stop() == 0


def test_a_hangup_replaces_each_worker_without_a_lost_request(run: Run, library: str) -> None:
    """One after another, each once its successor is ready."""
    server = run(*usual(library, "--workers", "2", "--no-access-log", "--timeout-graceful-shutdown", "10"))
    first = ready(server, 2)
    load = Load(server.urls()[0], 8)
    with load.running():
        for round_ in range(3):
            load.more(50)
            server.send_signal(signal.SIGHUP)
            fresh = ready(server, 4 + 2 * round_)[-2:]
            until(lambda: gone(first), "the end of the old workers")  # noqa: B023  # called at once
            first = fresh
        load.more(50)
    assert load.failures == []
    assert len(load.answers) > 4
    assert server.stop() == 0
    order = [line for line in server.log().splitlines() if "is ready" in line or "has ended with" in line]
    assert [("ready" in line) for line in order[:6]] == [True, True, True, False, True, False], order
    events = server.access().split()
    assert events.count("startup") == events.count("shutdown") == 8


def test_a_successor_that_cannot_start_leaves_the_old_workers(run: Run, library: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    server = run(
        *usual(library, "--workers", "2", "--no-access-log"), environment={"CREW_BROKEN": str(broken)}
    )
    first = ready(server, 2)
    broken.touch()
    server.send_signal(signal.SIGHUP)
    until(lambda: "The worker before it goes on, and so do the others" in server.log(), "the failure")
    assert "broken on purpose" in server.log()
    with open_url(server.urls()[0]) as client:
        assert pid_of(client) in first
    broken.unlink()
    server.send_signal(signal.SIGHUP)
    ready(server, 4)
    assert server.stop() == 0


def test_workers_that_cannot_start_end_the_server(library: str, tmp_path: Path) -> None:
    """With the reason, and the code of a start that failed."""
    (tmp_path / "broken").touch()
    lines = fails(
        *usual(library, "--workers", "2"), code=3, environment={"CREW_BROKEN": str(tmp_path / "broken")}
    )
    assert (
        sum(
            "could not start: importing 'crew' failed: RuntimeError: broken on purpose" in line
            for line in lines
        )
        == 2
    )
    assert "Giving up: no worker can start" in "\n".join(lines)


def test_a_worker_that_stands_still_is_replaced(run: Run, library: str) -> None:
    """Its traceback shows where; who waits for it sees the connection end."""
    server = run(*usual(library, "--workers", "2", "--no-access-log", "--timeout-worker-healthcheck", "1"))
    first = ready(server, 2)
    with open_url(server.urls()[0]) as client:
        stuck = pid_of(client)
        client.request(target="/stand?60")
        assert client.closed()
    ready(server, 3)
    assert f"(pid {stuck}) has stood still for" in server.log()
    assert "crew.py" in server.log()
    assert "in _act" in server.log()
    assert [pid for pid in first if alive(pid)] == [pid for pid in first if pid != stuck]
    server.allows_alarms = True  # the traceback of an abort is what was asked for
    assert server.stop() == 0


def test_a_worker_that_is_stopped_from_outside_is_replaced(run: Run, library: str) -> None:
    server = run(*usual(library, "--workers", "2", "--no-access-log", "--timeout-worker-healthcheck", "1"))
    first = ready(server, 2)
    kill(first[0], signal.SIGSTOP)
    ready(server, 3)
    assert gone(first[:1])
    assert server.stop() == 0


def test_a_busy_worker_is_not_taken_for_a_stuck_one(run: Run, library: str) -> None:
    """Requests that wait, and a loop that is late by less than the limit, are no fault."""
    server = run(*usual(library, "--workers", "2", "--no-access-log", "--timeout-worker-healthcheck", "1"))
    ready(server, 2)
    with open_url(server.urls()[0]) as waiting, open_url(server.urls()[0]) as standing:
        waiting.request(target="/wait?2.5")
        for _ in range(5):
            standing.ask(target="/stand?0.4")
        assert waiting.answer().status == 200
    assert "stood still" not in server.log()
    assert server.stop() == 0


def test_more_and_fewer_workers(run: Run, library: str) -> None:
    """TTIN adds one, TTOU takes one away, down to one, and no request is lost."""
    server = run(*usual(library, "--workers", "2", "--no-access-log"))
    workers = ready(server, 2)
    load = Load(server.urls()[0], 6)
    with load.running():
        server.send_signal(signal.SIGTTIN)
        workers = ready(server, 3)
        load.more(100)
        for left in (2, 1):
            server.send_signal(signal.SIGTTOU)
            until(lambda: sum(map(alive, workers)) == left, f"{left} workers")  # noqa: B023  # called at once
            load.more(50)
        server.send_signal(signal.SIGTTOU)
        load.more(50)
        assert sum(map(alive, workers)) == 1
    assert load.failures == []
    assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_nothing_is_orphaned(run: Run, library: str, number: int) -> None:
    """However the supervisor ends, its workers end, with requests at work, too."""
    server = run(*usual(library, "--workers", "2", "--no-access-log", "--timeout-graceful-shutdown", "1"))
    workers = ready(server, 2)
    with open_url(server.urls()[0]) as client:
        client.request(target="/wait?60")
        time.sleep(0.2)
        server.send_signal(number)
        server.process.wait(20)
        until(lambda: gone(workers), "the end of the workers")


def test_a_worker_that_stands_still_does_not_outlive_its_supervisor(run: Run, library: str) -> None:
    server = run(*usual(library, "--workers", "2", "--no-access-log", "--timeout-graceful-shutdown", "1"))
    workers = ready(server, 2)
    with open_url(server.urls()[0]) as client:
        client.request(target="/stand?60")
        time.sleep(0.2)
        server.send_signal(signal.SIGKILL)
        server.process.wait(20)
        until(lambda: gone(workers), "the end of the workers", 20)


def test_requests_at_work_end_before_the_workers_do(run: Run, library: str) -> None:
    server = run(*usual(library, "--workers", "2", "--no-access-log"))
    workers = ready(server, 2)
    with open_url(server.urls()[0]) as client:
        client.request(target="/wait?1")
        time.sleep(0.2)
        server.send_signal(signal.SIGTERM)
        answer = client.answer()
        assert answer.json()["pid"] in workers
        assert answer.get("connection") == "close"
    assert server.wait() == 0
    assert server.access().count("shutdown") == 2


def test_a_worker_is_replaced_after_its_requests(run: Run, library: str) -> None:
    """And never two at once; no request is lost."""
    server = run(*usual(library, "--workers", "2", "--no-access-log", "--limit-max-requests", "100"))
    ready(server, 2)
    load = Load(server.urls()[0], 6)
    with load.running():
        ready(server, 6)
    assert load.failures == []
    assert "is replaced: it has served" in server.log()
    assert server.stop() == 0
    working = 0
    for line in server.log().splitlines():
        working += ("is ready" in line) - ("has ended with exit code" in line)
        assert working <= 3, server.log()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--workers-lifetime", "1"), "it is 1 s old"),
        (("--workers-max-rss", "120"), "MiB"),
    ],
)
def test_a_worker_is_replaced_for_its_age_and_memory(
    run: Run, library: str, options: tuple[str, ...], reason: str
) -> None:
    """One worker alone has a supervisor then."""
    server = run(*usual(library, "--no-access-log", *options))
    first = ready(server, 1)
    with open_url(server.urls()[0]) as client:
        assert client.ask(target="/hold?150000000").json()["pid"] == first[0]
    ready(server, 2)
    assert reason in server.log()
    until(lambda: gone(first), "the end of the old worker")
    assert server.stop() == 0


def test_preloaded_workers_share_the_import(run: Run, library: str) -> None:
    """The supervisor has imported it; fresh workers have its copy."""
    server = run(*usual(library, "--workers", "2", "--preload", "--no-access-log"))
    workers = ready(server, 2)
    with open_url(server.urls()[0]) as client:
        facts = client.ask().json()
    assert facts["imported"] == facts["parent"] == server.process.pid
    assert facts["pid"] in workers
    server.send_signal(signal.SIGHUP)
    ready(server, 4)
    assert "stays as it was imported" in server.log()
    assert server.stop() == 0


def test_a_preloaded_application_that_cannot_be_imported(library: str, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    lines = fails(
        *usual(library, "--workers", "2", "--preload"),
        code=3,
        environment={"CREW_BROKEN": str(tmp_path / "broken")},
    )
    assert lines[-1].startswith("ERROR:    importing 'crew' failed")


def test_unix_sockets_and_inherited_ones_are_shared(run: Run, library: str, tmp_path: Path) -> None:
    """All workers accept from them; the file is gone at the end."""
    path = tmp_path / "socket"
    server = run(
        APP, "--app-dir", str(APPS), "--async-library", library, "--uds", str(path), "--workers", "2"
    )
    workers = ready(server, 2)
    clients: list[Client] = []
    seen: set[int] = set()

    def one_more() -> bool:
        clients.append(open_url(f"unix:{path}"))
        seen.add(pid_of(clients[-1]))
        return seen == set(workers)

    try:
        until(one_more, "a connection with each worker")
    finally:
        for client in clients:
            client.close()
    kill(workers[0], signal.SIGKILL)
    ready(server, 3)
    assert path.exists()
    assert server.stop() == 0
    assert not path.exists()


def test_a_second_signal_hurries_and_a_third_ends(run: Run, library: str) -> None:
    """Requests that never end are cancelled at the second; a worker that stands still is killed at the third."""
    server = run(*usual(library, "--workers", "2", "--no-access-log"))
    workers = ready(server, 2)
    with open_url(server.urls()[0]) as waiting, open_url(server.urls()[0]) as standing:
        waiting.request(target="/wait?60")
        standing.request(target="/stand?60")
        time.sleep(0.3)
        server.send_signal(signal.SIGTERM)
        until(lambda: "Stopping 2 worker(s)" in server.log(), "the stop")
        time.sleep(0.3)
        server.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 128 + signal.SIGTERM
    assert gone(workers)


def test_a_worker_that_is_replaced_does_not_drain(run: Run, library: str) -> None:
    """The server does not leave: its ready page says so meanwhile, and nothing is waited for."""
    usual_ = usual(
        library, "--workers", "2", "--no-access-log", "--drain-delay", "600", "--ready-path", "/ready"
    )
    server = run(*usual_)
    old = ready(server, 2)
    with open_url(server.urls()[0]) as client, open_url(server.urls()[0]) as waiting:
        assert client.ask(target="/ready").status == 200
        waiting.request(target="/wait?1")
        server.send_signal(signal.SIGHUP)
        until(
            lambda: client.ask(target="/ready").get("connection") == "close",
            "the worker's turn to be replaced",
        )
        assert waiting.answer().status == 200
    ready(server, 4)
    until(lambda: gone(old), "the end of the old workers")
    assert "Draining" not in server.log()
    assert server.stop(signal.SIGQUIT) == 128 + signal.SIGQUIT
    assert "Draining" not in server.log()


def test_signals_of_a_terminal_are_the_supervisors_alone(run: Run, library: str) -> None:
    """Ctrl-C reaches every process of the terminal; the workers still stop only once and gracefully."""
    server = run(*usual(library, "--workers", "2", "--no-access-log"))
    workers = ready(server, 2)
    with open_url(server.urls()[0]) as client:
        client.request(target="/wait?1")
        time.sleep(0.2)
        for pid in workers:
            kill(pid, signal.SIGINT)
        server.send_signal(signal.SIGINT)
        assert client.answer().status == 200
    assert server.wait() == 0


def test_workers_take_over_the_path_and_the_flags(run: Run, library: str, tmp_path: Path) -> None:
    server = run(*usual(library, "--workers", "2", "--no-access-log"))
    ready(server, 2)
    with open_url(server.urls()[0]) as client:
        assert str(APPS) in client.ask(target="/env").json()["path"]
    assert server.stop() == 0


def test_the_supervisor_has_nothing_but_its_workers(run: Run, library: str) -> None:
    """After many replacements it has as many descriptors and children as before."""
    server = run(*usual(library, "--workers", "2", "--no-access-log"))
    ready(server, 2)
    before = server.descriptors()
    for round_ in range(4):
        server.send_signal(signal.SIGHUP)
        ready(server, 4 + 2 * round_)
    until(lambda: len(children(server.process.pid)) == 2, "the end of the old workers")
    until(lambda: server.descriptors() == before, "descriptors to be closed")
    assert server.stop() == 0


def test_crashes_one_after_another_are_waited_for(run: Run, library: str) -> None:
    """The first is made good at once, the next ones later and later."""
    server = run(*usual(library, "--workers", "1", "--workers-lifetime", "3600", "--no-access-log"))
    times: list[float] = []
    for count in range(1, 4):
        pid = ready(server, count)[-1]
        times.append(time.monotonic())
        kill(pid, signal.SIGKILL)
    ready(server, 4)
    times.append(time.monotonic())
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[1] > 0.5
    assert gaps[2] > 1.0
    assert server.stop() == 0
