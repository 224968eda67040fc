"""A server under attack, watched from outside: its descriptors and memory, its CPU time, and how a probe fares."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import IO

from bench import accounting
from bench.environments import ROOT, credentials
from bench.measure import clean_environment, free_port, wait_until_listening

from proof.assault import secured
from proof.assaults import H2, PROXY, TLS, Attack, Program

PATIENCE = 15.0
"""Seconds within which a probe is answered even on a busy machine, and a server stops."""

STARTED = 60.0
"""Seconds within which a server listens, on a machine that has much else to do."""

PROBES = 1
"""Connections that the probe has, which comes and goes."""

LEAVING = 1.0
"""Seconds before the planned end of an attack, in which its clients may be leaving."""

PROBED = 0.02
"""Seconds between two questions of the probe."""

KEPT = 20
"""Questions on one connection before the probe opens another, so that it is accepted under attack, too."""

LOOKED = 0.2
"""Seconds between two looks at the server's memory and descriptors."""

RECOVERY = 8.0
"""Seconds until memory and descriptors are given back; pools are looked through every half second."""

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass(frozen=True)
class Look:
    """What the server has at a time: open descriptors, and bytes of memory that belong to no file."""

    at: float
    descriptors: int
    memory: int


def look(pid: int) -> Look:
    """Look at a server and its workers now."""
    tree = accounting.process_tree(pid)
    descriptors = 0
    for each in tree:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            descriptors += sum(1 for _ in Path(f"/proc/{each}/fd").iterdir())
    return Look(time.monotonic(), descriptors, accounting.read_memory(tree))


@dataclass
class Besieged:
    """A running server.

    Args:
        process: The command.
        port: Where clients ask; the attack goes to `target`.
        target: The attacked port.
        tls: Whether clients speak TLS.
        log: What the server says.
    """

    process: subprocess.Popen[bytes]
    port: int
    target: int
    tls: bool
    log: Path

    def connect(self) -> socket.socket:
        """Open a probe's connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return secured(connection) if self.tls else connection

    def stop(self) -> int:
        """Stop the server, and return its code; one that does not stop is killed, and the code is negative."""
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(PATIENCE)
        self.process.kill()
        return self.process.wait()


def asked(connection: socket.socket) -> float:
    """Ask once, and return the seconds until the answer was there.

    Raises:
        OSError: The answer did not come in time, or was another.
    """
    began = time.monotonic()
    connection.sendall(REQUEST)
    answer = b""
    while not answer.endswith(b"Hello, world!"):
        data = connection.recv(4096)
        if not data:
            raise ConnectionError("closed without an answer")
        answer += data
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"another answer: {answer[:40]!r}")
    return time.monotonic() - began


@dataclass
class Probe:
    """Somebody else, who asks all the time: on a connection that is kept, and on new ones."""

    server: Besieged
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until told to end, and note how long it took, connecting included."""
        while not self.ended.is_set():
            try:
                began = time.monotonic()
                with self.server.connect() as connection:
                    self._ask(connection, time.monotonic() - began)
            except OSError as error:
                self.failures.append(str(error))
                self.ended.wait(PROBED)

    def _ask(self, connection: socket.socket, connecting: float) -> None:
        for _ in range(KEPT):
            self.latencies.append(connecting + asked(connection))
            connecting = 0.0
            if self.ended.wait(PROBED):
                return


@dataclass(frozen=True)
class Outcome:
    """What an attack came to.

    Args:
        attackers: Connections at once that the attack is made of.
        seconds: How long it lasted.
        held: Connections that the server had open at most, the probe's left out.
        late: Those that it still had when all should have ended; none where none is due to.
        grown: Bytes that its memory grew at most.
        kept: Bytes that were still there afterwards.
        left: Descriptors that were.
        cpu: Seconds of the processor that it used.
        median: Seconds that half of the probe's questions took at most.
        worst: Seconds that none exceeded.
        failures: The probe's questions that were not answered, and what else went wrong.
        opened: Connections that the attacker has made in all; none where a program of another attacks.
        ended: Those of them that the server has ended.
    """

    attackers: int
    seconds: float
    held: int
    late: int | None
    grown: int
    kept: int
    left: int
    cpu: float
    median: float
    worst: float
    failures: tuple[str, ...]
    opened: int | None = None
    ended: int | None = None


Command = Callable[[Attack, int, int], list[str]]
"""Makes the command of a server for an attack, its port, and the port of the PROXY protocol."""


def own_command(library: str, deadlines: tuple[str, ...]) -> Command:
    """Return what makes the ordinary command under a library, with options for deadlines."""

    def command(attack: Attack, port: int, target: int) -> list[str]:
        parts = [str(ROOT / ".venv/bin/tricorn"), "proof.attack_app:app", "--async-library", library]
        parts += ["--no-access-log", "--log-level", "warning", "--bind", f"127.0.0.1:{port}"]
        parts += ["--bind", f"127.0.0.1:{target},proxy"] if attack.speaks == PROXY else []
        parts += ["--http2"] if attack.speaks == H2 else []
        if attack.speaks == TLS:
            folder = credentials()
            parts += ["--ssl-certfile", str(folder / "certificate.pem")]
            parts += ["--ssl-keyfile", str(folder / "key.pem")]
        return [*parts, *attack.options, *deadlines]

    return command


@contextlib.contextmanager
def besieged(command: Command, attack: Attack) -> Iterator[Besieged]:
    """Run a server for an attack; it is killed in the end if it still runs."""
    port = free_port()
    target = free_port() if attack.speaks == PROXY else port
    with tempfile.TemporaryDirectory(prefix="attack") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(attack, port, target),
                cwd=ROOT,
                env=clean_environment("asyncio"),
                stdout=output,
                stderr=output,
            )
        try:
            wait_until_listening(process, port, log, STARTED)
            yield Besieged(process, port, target, attack.speaks == TLS, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


@contextlib.contextmanager
def probing(server: Besieged) -> Iterator[Probe]:
    """Have a probe ask while the block runs."""
    probe = Probe(server)
    thread = threading.Thread(target=probe.run)
    thread.start()
    try:
        yield probe
    finally:
        probe.ended.set()
        thread.join()


def recovered(pid: int, before: Look, memory: int) -> Look:
    """Wait until a server has as much as before, up to `memory` bytes, and return what it has."""
    deadline = time.monotonic() + RECOVERY
    while True:
        after = look(pid)
        if after.descriptors <= before.descriptors and after.memory - before.memory <= memory:
            return after
        if time.monotonic() > deadline:
            return after
        time.sleep(LOOKED)


@dataclass(frozen=True)
class Siege:
    """How an attack is made.

    Args:
        start: Starts an attack on a port, for so many seconds, which writes what it says to a file.
        seconds: How long it goes on at most.
        due: Seconds after which all its connections should have ended; infinite where none is due to.
    """

    start: Callable[[Attack, int, float, IO[bytes]], subprocess.Popen[bytes]]
    seconds: float
    due: float


def overdue(looks: list[Look], siege: Siege) -> list[Look]:
    """Return the looks at a time when all connections should have ended, and no client has left by itself yet.

    The time counts from the last connection's coming: on a busy machine an attacker takes its time to connect.
    """
    opened = looks[0].at
    for earlier, later in pairwise(looks):
        if later.descriptors > earlier.descriptors + PROBES:
            opened = later.at
    end = looks[0].at + siege.seconds - LEAVING
    return [each for each in looks if opened + siege.due <= each.at <= end]


def late(looks: list[Look], before: Look, siege: Siege) -> int:
    """Return the attacker's connections that outlive what is due to end them; none where the attack ended before."""
    left = [each.descriptors for each in overdue(looks, siege)]
    return max(0, min(left) - before.descriptors - PROBES) if left else 0


def watched(attacker: subprocess.Popen[bytes], server: Besieged, before: Look, siege: Siege) -> list[Look]:
    """Look at the server until the attacker has ended, which is told to when its connections have."""
    looks, deadline = [look(server.process.pid)], time.monotonic() + siege.seconds + PATIENCE
    while attacker.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            attacker.wait(LOOKED)
        looks.append(look(server.process.pid))
        if overdue(looks, siege) and late(looks, before, siege) == 0:
            attacker.terminate()
    if attacker.poll() is None:
        attacker.kill()
        attacker.wait()
    return looks


def complaints(server: Besieged, probe: Probe) -> Iterator[str]:
    """Say what went wrong: of the probe, at the end of the server, in its log."""
    yield from sorted(set(probe.failures))
    if not probe.latencies:
        yield "the probe was never answered"
    code = server.stop()
    if code != 0:
        yield f"the server ended with {code}"
    if "Traceback" in (text := server.log.read_text(errors="replace")):
        yield "a traceback in the log: " + text[text.index("Traceback") :].strip()[-200:]


HOLDING = 4
"""The part of a program's connections that must be seen at once, where they are held: it opens them by and by."""

ENDING = 2
"""The part of a flood's connections, as many as there are at once, that a server must have ended."""


def shortcomings(attack: Attack, said: str, held: int, is_over: bool) -> Iterator[str]:
    """Say what there was less of than the attack is to be, or than a server is to do about it.

    Args:
        attack: The attack.
        said: What the attacker has printed.
        held: Connections that were seen at once.
        is_over: Whether it was seen what was left when all connections were due to have ended.
    """
    force = attack.force
    if isinstance(force, Program):
        if not re.search(force.says, said):
            yield f"{force.command[0]} did not attack"
        elif attack.deadlines and held < force.connections // HOLDING:
            yield f"only {held:,} connections at once"
        return
    counts = counted(said)
    if not counts:
        yield "the attacker ended before its time"
    elif (opened := counts["opened"] - counts["refused"]) < force.connections:
        yield f"the attacker had only {opened:,} connections"
    elif attack.ends and counts["ended"] < force.connections // ENDING:
        yield f"the server ended only {counts['ended']:,} connections"
    elif attack.deadlines and not is_over:
        yield "the attack was over before its connections were due to end"


def counted(said: str) -> Mapping[str, int]:
    """Return the counts that our attacker has printed; none where it has not come to that, or is another's."""
    last = said.strip().rpartition("\n")[2]
    return json.loads(last) if last.startswith("{") else {}


def outcome(attack: Attack, server: Besieged, siege: Siege) -> Outcome:
    """Attack a server, and return what came of it."""
    with tempfile.TemporaryFile() as said:
        return told(attack, server, siege, said)


def told(attack: Attack, server: Besieged, siege: Siege, output: IO[bytes]) -> Outcome:
    """As outcome, with a file for what the attacker says."""
    pid = server.process.pid
    with server.connect() as connection:
        asked(connection)  # what is made for the first request is no attacker's doing
    time.sleep(1)
    before, used = look(pid), accounting.read_usage(accounting.process_tree(pid))
    with probing(server) as probe:
        looks = watched(siege.start(attack, server.target, siege.seconds, output), server, before, siege)
    spent = accounting.spent(used, accounting.read_usage(accounting.process_tree(pid)))
    after = recovered(pid, before, attack.kept << 20)
    output.seek(0)
    said = output.read().decode(errors="replace")
    held = max(0, max(each.descriptors for each in looks) - before.descriptors - PROBES)
    missing = shortcomings(attack, said, held, bool(overdue(looks, siege)))
    return Outcome(
        attackers=attack.force.connections,
        seconds=looks[-1].at - looks[0].at,
        held=held,
        late=late(looks, before, siege) if attack.deadlines else None,
        grown=max(0, max(each.memory for each in looks) - before.memory),
        kept=max(0, after.memory - before.memory),
        left=max(0, after.descriptors - before.descriptors),
        cpu=spent.total / 1e9,
        median=median(probe.latencies or [PATIENCE]),
        worst=max(probe.latencies or [PATIENCE]),
        failures=(*missing, *complaints(server, probe)),
        opened=counted(said).get("opened"),
        ended=counted(said).get("ended"),
    )
