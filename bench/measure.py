"""One measurement of CPU time: start a server on one core, load it from another, and read the kernel's clocks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import accounting
from bench.environments import (
    BUILD,
    ROOT,
    Environment,
    Unusable,
    credentials,
    http2_load_generator,
    load_generator,
    socket_load_generator,
)
from bench.kinds import Sample, growth
from bench.servers import Server, Spoken
from bench.workloads import ACCEPT, Workload

SERVER_CORE, CLIENT_CORE = "0", "1"


@dataclass(frozen=True)
class Patience:
    """The seconds that a server may take to start and to stop."""

    start: float
    stop: float


PATIENCE = Patience(start=30, stop=5)


class WrongAnswer(Exception):
    """The server gave an answer other than the expected one, or none; the text is the load generator's."""


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Subject:
    """A server that is measured on a workload: the command's parts and where its log goes."""

    workload: Workload
    server: Server
    environment: Environment
    path: str = ""
    """A folder with what the application needs."""

    @property
    def log(self) -> Path:
        """Return the file of what the server says."""
        return BUILD / "logs" / f"{self.workload.row}-{self.server.name}.log"

    def command(self, port: int) -> list[str]:
        """Return the command that starts the server."""
        tls = credentials() if self.workload.tls else None
        spoken = Spoken(tls, self.workload.http2, self.workload.pair)
        return self.server.arguments(self.environment.programs, f"bench.{self.workload.app}", port, spoken)


def clean_environment(library: str, path: str = "") -> dict[str, str]:
    """Return the environment of a measured server: no settings of ours or of its own leak in."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    kept |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONHASHSEED": "0"}
    return kept | {"PYTHONPATH": f"{ROOT}:{path}" if path else str(ROOT), "BENCH_LIBRARY": library}


def tail(log: Path) -> str:
    """Return the last words of a server."""
    return log.read_text(errors="replace").strip()[-200:]


def wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float) -> None:
    """Return when the port accepts a connection; a server that ends or takes too long is unusable."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unusable(f"ended with {process.returncode}: {tail(log)}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise Unusable(f"did not listen within {seconds:.0f} seconds")


def pinned(core: str) -> list[str]:
    """Return what keeps the command behind it to one core."""
    return ["taskset", "-c", core]


def stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End the server, politely first, with everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def running(subject: Subject, port: int, prefix: list[str], patience: Patience = PATIENCE) -> Iterator[int]:
    """Run a server while the block runs, its command behind `prefix`; gives its process id."""
    log = subject.log
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*prefix, *subject.command(port)],
            cwd=ROOT,
            env=clean_environment(subject.server.library, subject.path) | dict(subject.server.settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_listening(process, port, log, patience.start)
        yield process.pid
    finally:
        stop(process, patience.stop)


def socket_load_command(workload: Workload, port: int, request: Path, message: Path) -> list[str]:
    """Return the command that sends WebSocket messages; the answer's body is the message."""
    command = [*pinned(CLIENT_CORE), str(socket_load_generator()), "--port", str(port)]
    command += ["--request", str(request), "--accept", ACCEPT, "--message", str(message)]
    command += ["--connections", str(workload.connections)]
    return command + [f"--{word}" for word in workload.sockets or ()]


def load_command(workload: Workload, port: int) -> list[str]:
    """Return the load generator's command for a workload, without how long it runs."""
    folder = BUILD / "requests"
    folder.mkdir(parents=True, exist_ok=True)
    request, body = folder / f"{workload.row}.request", folder / f"{workload.row}.body"
    request.write_bytes(workload.request)
    body.write_bytes(workload.body)
    if workload.sockets is not None:
        return socket_load_command(workload, port, request, body)
    program = http2_load_generator() if workload.http2 else load_generator()
    command = [*pinned(CLIENT_CORE), str(program), "--port", str(port)]
    command += ["--request", str(request), "--body", str(body)]
    command += ["--connections", str(workload.connections), "--depth", str(workload.depth)]
    if workload.length is not None:
        command += ["--length", str(workload.length)]
    if workload.upload:
        command += ["--upload", str(workload.upload)]
    return command + ["--close"] * workload.close + ["--tls"] * workload.tls


def talk(client: subprocess.Popen[str], line: str | None = None) -> str:
    """Send the load generator a line, then return its next one; the end of it means a wrong answer."""
    assert client.stdin is not None
    assert client.stdout is not None
    assert client.stderr is not None
    if line is not None:
        client.stdin.write(line + "\n")
        client.stdin.flush()
    answer = client.stdout.readline()
    if not answer:
        raise WrongAnswer(client.stderr.read().strip() or "the load generator ended early")
    return answer


@contextlib.contextmanager
def loading(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run the load generator while the block runs, past its warm-up: it begins when it is told to."""
    with subprocess.Popen(
        [*command, "--gate"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as client:
        try:
            talk(client)
            yield client
        finally:
            client.kill()


def drive(command: list[str], pid: int) -> tuple[accounting.Spent, dict[str, Any]]:
    """Load the server `pid`; return what its process tree spent, without the warm-up, and what the load was."""
    with loading(command) as client:
        before = accounting.read_usage(accounting.process_tree(pid))
        result: dict[str, Any] = json.loads(talk(client, "go"))
        after = accounting.read_usage(accounting.process_tree(pid))
    return accounting.spent(before, after), result


@contextlib.contextmanager
def explained(log: Path) -> Iterator[None]:
    """Add the server's last words to what was wrong with its answers."""
    try:
        yield
    except WrongAnswer as fault:
        raise WrongAnswer(f"{fault}; {tail(log)}") from fault


def spend(subject: Subject, seconds: float) -> tuple[accounting.Spent, dict[str, Any]]:
    """Start the server and load it for so long; return what it spent and what the load was."""
    port = free_port()
    load = [*load_command(subject.workload, port), "--warm", "0.5", "--seconds", str(seconds)]
    with explained(subject.log), running(subject, port, pinned(SERVER_CORE)) as pid:
        return drive(load, pid)


def measure_requests(subject: Subject, seconds: float) -> Sample:
    """Measure the CPU time of a request in microseconds, requests a second, and the latency."""
    cost, load = spend(subject, seconds)
    return {
        "cpu": cost.total / load["requests"] / 1e3,
        "user": cost.user / load["requests"] / 1e3,
        "rate": load["requests"] / load["seconds"],
        "p50": load["p50_us"],
        "p99": load["p99_us"],
    }


def measure_bytes(subject: Subject, seconds: float) -> Sample:
    """Measure the CPU time of a billion bytes in milliseconds, and how many pass in a second."""
    return per_billion(*spend(subject, seconds))


def per_billion(cost: accounting.Spent, load: dict[str, Any]) -> Sample:
    """Return the figures of a billion bytes from what was spent on a load."""
    billions = load["bytes"] / 1e9
    return {
        "cpu": cost.total / billions / 1e6,
        "user": cost.user / billions / 1e6,
        "rate": billions / load["seconds"],
    }


def measure_crowd(subject: Subject, seconds: float) -> Sample:
    """Measure the CPU time of a request at each size."""
    costs = {}
    for point in subject.workload.points:
        cost, load = spend(replace(subject, workload=point.of(subject.workload)), seconds)
        costs[point.size] = cost.total / load["requests"] / 1e3
    return {str(size): cost for size, cost in costs.items()} | {"growth": growth(costs, False)}
