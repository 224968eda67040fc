"""One measurement: start a server on one core, load it from another, and read the kernel's clocks around the load."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import accounting
from bench.environments import BUILD, ROOT, Environment, Unusable, load_generator
from bench.figures import Sample
from bench.servers import Server
from bench.workloads import Workload

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


def clean_environment(library: str) -> dict[str, str]:
    """Return the environment of a measured server: no settings of ours or of its own leak in."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    kept |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    return kept | {"BENCH_LIBRARY": library}


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


def pinned(core: str, command: list[str]) -> list[str]:
    """Return the command kept to one core."""
    return ["taskset", "-c", core, *command]


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
def running(
    command: list[str], library: str, port: int, log: Path, patience: Patience = PATIENCE
) -> Iterator[int]:
    """Run a server while the block runs; gives its process id."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=clean_environment(library),
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


def load_command(workload: Workload, port: int) -> list[str]:
    """Return the load generator's command for a workload, without how long it runs."""
    folder = BUILD / "requests"
    folder.mkdir(parents=True, exist_ok=True)
    request, body = folder / f"{workload.row}.request", folder / f"{workload.row}.body"
    request.write_bytes(workload.request)
    body.write_bytes(workload.body)
    command = pinned(CLIENT_CORE, [str(load_generator()), "--port", str(port)])
    command += ["--request", str(request), "--body", str(body)]
    command += ["--connections", str(workload.connections), "--depth", str(workload.depth)]
    if workload.length is not None:
        command += ["--length", str(workload.length)]
    return command + ["--close"] * workload.close


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


def drive(command: list[str], pid: int) -> Sample:
    """Load the server `pid` and return what its process tree spent on each request, leaving out the warm-up."""
    with subprocess.Popen(
        [*command, "--gate"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as client:
        try:
            talk(client)
            before = accounting.read_usage(accounting.process_tree(pid))
            result: dict[str, Any] = json.loads(talk(client, "go"))
            after = accounting.read_usage(accounting.process_tree(pid))
        finally:
            client.kill()
    cost, requests = accounting.spent(before, after), result["requests"]
    return Sample(
        cpu=cost.total / requests / 1e3,
        user=cost.user / requests / 1e3,
        rate=requests / result["seconds"],
        p50=result["p50_us"],
        p99=result["p99_us"],
    )


def measure(workload: Workload, server: Server, environment: Environment, seconds: float) -> Sample:
    """Measure one server on one workload, once."""
    port, log = free_port(), BUILD / "logs" / f"{server.name}.log"
    words = server.arguments(environment.programs, f"bench.apps:{workload.app}", port)
    load = [*load_command(workload, port), "--warm", "0.5", "--seconds", str(seconds)]
    try:
        with running(pinned(SERVER_CORE, words), server.library, port, log) as pid:
            return drive(load, pid)
    except WrongAnswer as fault:
        raise WrongAnswer(f"{fault}; {tail(log)}") from fault
