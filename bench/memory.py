"""Measurements of memory: what an idle connection or a slow reader costs in user space, and what comes back."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import ExitStack
from dataclasses import replace

from bench import accounting
from bench.kinds import Sample
from bench.measure import (
    SERVER_CORE,
    Subject,
    WrongAnswer,
    drive,
    explained,
    free_port,
    load_command,
    loading,
    per_billion,
    pinned,
    running,
    talk,
)
from bench.workloads import POST, POSTED

WARM_REQUESTS = 20_000
"""What a server is asked before: pools and caches are filled, so that only connections are weighed."""

SETTLE = 1.0
RETURN = 4.0
"""Seconds until memory is read, after the connections have come and after they have gone."""

SAMPLED = 0.02
"""Seconds between two looks at the memory of a server that is at work."""

STALLS = 3
"""How often a slow reader's cost is read, a settling time apart; the largest counts."""


def weigh(pid: int) -> int:
    """Return the bytes that the server's process tree has in user space."""
    return accounting.read_memory(accounting.process_tree(pid))


def sample(before: int, held: int, after: int, n: int) -> Sample:
    """Make the figures of `n` connections from the memory before, with them, and after."""
    grown = held - before
    kept = max(after - before, 0) / grown if grown > 0 else 0.0
    return {"bytes": max(grown, 0) / n, "kept": min(kept, 1.0), "before": float(before)}


def warm(subject: Subject, port: int) -> None:
    """Send the server many requests over a few connections, and let it settle."""
    workload = replace(subject.workload, connections=64)
    load = [*load_command(workload, port), "--requests", str(WARM_REQUESTS), "--seconds", "5"]
    done = subprocess.run(load, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongAnswer(done.stderr.strip())
    time.sleep(SETTLE)


def measure_idle(subject: Subject, seconds: float) -> Sample:
    """Weigh a server before, while, and after many connections are open that have had one answer each."""
    del seconds
    workload, port = subject.workload, free_port()
    load = [*load_command(workload, port), "--requests", str(workload.connections)]
    with explained(subject.log), running(subject, port, pinned(SERVER_CORE)) as pid:
        warm(subject, port)
        before = weigh(pid)
        with loading(load) as client:
            talk(client, "go")
            time.sleep(SETTLE)
            held = weigh(pid)
            _, complaint = client.communicate("end\n")
        if complaint:
            raise WrongAnswer(complaint.strip())
        time.sleep(RETURN)
        return sample(before, held, weigh(pid), workload.connections)


def heaviest(pid: int, load: list[str]) -> int:
    """Run a load to its end and return the most that the server's process tree has had in user space meanwhile."""
    most = 0
    with subprocess.Popen(load, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as client:
        while client.poll() is None:
            most = max(most, weigh(pid))
            time.sleep(SAMPLED)
        if client.returncode:
            raise WrongAnswer(client.stderr.read().strip() if client.stderr else "")
    return most


def measure_upload(subject: Subject, seconds: float) -> Sample:
    """Measure how memory grows during one upload, then the CPU time of a billion bytes of many."""
    small = replace(subject.workload, request=POST, upload=0, body=b"%013d" % len(POSTED))
    port = free_port()
    with explained(subject.log), running(subject, port, pinned(SERVER_CORE)) as pid:
        warm(replace(subject, workload=small), port)
        load, before = load_command(subject.workload, port), weigh(pid)
        grown = max(0, heaviest(pid, [*load, "--requests", "1"]) - before)
        cost = per_billion(*drive([*load, "--seconds", str(seconds)], pid))
    return {**cost, "grown": float(grown)}


def stalled_reader(port: int, request: bytes) -> socket.socket:
    """Send a request and look at the first bytes of the answer without taking them."""
    reader = socket.create_connection(("127.0.0.1", port), timeout=10)
    reader.sendall(request)
    start = reader.recv(12, socket.MSG_PEEK)
    if start != b"HTTP/1.1 200":
        raise WrongAnswer(f"not an answer: {start!r}")
    return reader


def measure_stall(subject: Subject, seconds: float) -> Sample:
    """Weigh a server before, while, and after many readers take nothing of what is sent to them."""
    del seconds
    workload, port = subject.workload, free_port()
    with explained(subject.log), running(subject, port, pinned(SERVER_CORE)) as pid:
        with stalled_reader(port, workload.request):
            time.sleep(SETTLE)  # the first one fills what every further one shares
        time.sleep(RETURN)
        before, held = weigh(pid), 0
        with ExitStack() as readers:
            for _ in range(workload.connections):
                readers.enter_context(stalled_reader(port, workload.request))
            for _ in range(STALLS):
                time.sleep(SETTLE)
                held = max(held, weigh(pid))
        time.sleep(RETURN)
        return sample(before, held, weigh(pid), workload.connections)
