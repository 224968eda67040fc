"""Attacks on a server of the ordinary command, and what they come to while somebody else asks it.

Each attack has a server of its own. What must hold does so on a busy machine, too: the server grows by no more than
the attack's bound and gives it back, with all descriptors; connections are gone by their deadline; the probe is
answered, all the time; nothing is wrong in the log. Time of the processor and latencies are told.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO

from bench.environments import ROOT, raise_descriptors, run_checked
from bench.facts import cpu_model, now

from proof.assault import OPENED, Plan
from proof.assaults import ATTACKS, Attack
from proof.besieged import Command, Outcome, Siege, besieged, outcome, own_command
from proof.table import Line, Settings, commit
from tricorn.options import OPTIONS

MIB = 1 << 20

SLACK = 3.0
"""Seconds beyond a deadline, on a busy machine: a server looks at its clock once a turn."""


@dataclass(frozen=True)
class Pace:
    """How long attacks are.

    Args:
        flood: Seconds of an attack that nothing is due to end.
        deadline: Seconds that deadlines are set to; none leaves the defaults.
        linger: Seconds that a server reads on from connections it has closed.
        waiting: How many attacks at once may wait for deadlines.
        flooding: How many at once may flood; latencies mean something when it is one.
    """

    flood: float
    deadline: float | None
    linger: float
    waiting: int
    flooding: int

    def options(self, attack: Attack) -> tuple[str, ...]:
        """Return the server's options."""
        if self.deadline is None:
            return ()
        names = (*attack.deadlines, "timeout-linger") if attack.deadlines else ()
        return tuple(
            part
            for name in names
            for part in (f"--{name}", str(self.linger if name == "timeout-linger" else self.deadline))
        )

    def siege(self, attack: Attack) -> Siege:
        """Return how long the attack goes on: until all its connections are due to have ended, if they are."""
        if not attack.deadlines:
            return Siege(start, self.flood, math.inf)
        defaults = {option.name: option.default for option in OPTIONS}
        longest = sum(float(str(self.deadline or defaults[name])) for name in attack.deadlines)
        due = longest + self.linger + SLACK
        return Siege(start, attack.force.connections / OPENED + due + GRACE, due)


GRACE = 20.0
"""Seconds more that an attack goes on while connections are left, as a busy machine may not come to ending them."""

SHORT, WHOLE = Pace(5, 2, 1, 4, 3), Pace(5, None, 2, 4, 1)

BRIEF = ("uvloop", "trio")

LONG = 10.0
"""Minutes that a run must have for the default deadlines."""


def start(attack: Attack, port: int, seconds: float, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start an attack, which ends by itself, and says to a file what it has done."""
    if isinstance(attack.force, Plan):
        command = [sys.executable, "-m", "proof.attacker", attack.name, str(port), str(seconds)]
    else:
        known = {"port": port, "seconds": max(1, round(seconds)), "connections": attack.force.connections}
        command = [part.format(**known) for part in attack.force.command]
    return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)


def attacked(attack: Attack, command: Command, siege: Siege) -> Outcome:
    """Start a server, attack it, and return what came of it."""
    with besieged(command, attack) as server:
        return outcome(attack, server, siege)


def held(attack: Attack, found: Outcome) -> bool:
    """Tell whether what must hold did."""
    small = found.grown <= attack.memory * MIB and found.kept <= attack.kept * MIB
    return small and not (found.late or found.left or found.failures)


def figure(found: Outcome) -> str:
    """Sum up what came of an attack in a line."""
    memory = f"{found.grown / MIB:.1f} MiB, {found.kept / MIB:.1f} kept"
    probe = f"probe {found.median * 1e3:.1f} ms, at worst {found.worst * 1e3:.0f} ms"
    cpu = f"{found.cpu:.2f} CPU s in {found.seconds:.0f} s"
    parts = [f"{found.held:,} connections held"]
    parts += [f"{found.ended:,} ended by the server"] if found.ended else []
    parts += [memory, cpu, probe]
    parts += [f"{found.late} late"] if found.late else []
    parts += [f"{found.left} descriptors left"] if found.left else []
    return "; ".join([*parts, *found.failures])


def bound(attack: Attack, pace: Pace) -> str:
    """Say what must hold; that the probe is answered and the descriptors come back goes without saying."""
    memory = f"at most {attack.memory} MiB, {attack.kept} kept"
    if attack.ends:
        return f"{memory}; the server ends the connections"
    if not attack.deadlines:
        return memory
    return f"{memory}; none left after {pace.siege(attack).due:.0f} s"


@dataclass(frozen=True)
class Row:
    """An attack on a server, and what came of it."""

    attack: Attack
    server: str
    found: Outcome


def attacks(
    commands: dict[str, Callable[[Attack], Command]], wanted: Sequence[Attack], pace: Pace
) -> Iterator[Row]:
    """Make attacks on servers, some at a time; those that only wait for deadlines go on beside the others.

    Args:
        commands: The servers by name, each with what makes its command for an attack.
        wanted: The attacks.
        pace: How long they are.
    """
    raise_descriptors()
    with ThreadPoolExecutor(pace.waiting) as waiting, ThreadPoolExecutor(pace.flooding) as flooding:
        runs = []
        for server, command in commands.items():
            for attack in wanted:
                pool = waiting if attack.deadlines else flooding
                runs.append(
                    (attack, server, pool.submit(attacked, attack, command(attack), pace.siege(attack)))
                )
        for attack, server, run in runs:
            yield Row(attack, server, run.result())


def keep(rows: Sequence[Row], path: Path, command: str) -> None:
    """Write the figures where tools/gen_attacks.py finds them."""
    load = f"{os.getloadavg()[1]:.0f} in the last five minutes"
    facts = {"date": now(), "commit": commit(), "machine": cpu_model(), "load": load, "command": command}
    listed = [{"attack": row.attack.name, "server": row.server, **asdict(row.found)} for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"facts": facts, "rows": listed}, indent=1) + "\n")


def fetch_corpora() -> None:
    """Have the corpora of requests there, which attackers play."""
    run_checked([sys.executable, str(ROOT / "tools" / "corpora")])


def chosen(settings: Settings, pace: Pace) -> tuple[str, ...]:
    """Return the libraries: when time is short and none was named, one with a loop in C and one in Python."""
    every = settings.libraries == Settings().libraries
    return BRIEF if every and pace is SHORT else settings.libraries


def lines(settings: Settings) -> Iterator[Line]:
    """Make all attacks on servers under each library, with the default deadlines when there is time for them."""
    pace = WHOLE if settings.minutes >= LONG else SHORT
    fetch_corpora()

    def command(library: str, attack: Attack) -> Command:
        return own_command(library, pace.options(attack))

    rows = []
    for row in attacks(
        {library: partial(command, library) for library in chosen(settings, pace)}, ATTACKS, pace
    ):
        rows.append(row)
        good = held(row.attack, row.found)
        yield Line(row.attack.what, row.server, figure(row.found), bound(row.attack, pace), good)
    keep(rows, settings.out / "attacks.json", settings.command)
