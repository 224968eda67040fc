"""The command `bench/instructions`: what a request costs in instructions, and whether that has become more.

There is one connection, for counts that repeat: either each request is a turn of the server and of the library's loop,
or 16 requests arrive at once and show what the server itself spends on each, as they also do on streams of HTTP/2. Of a
WebSocket, a message and its echo are counted. Counts are only compared with those that
were recorded with the same interpreter, libraries and compiler.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from bench import environments
from bench.callgrind import count_phases, per_request, require_valgrind
from bench.environments import ROOT, Unusable
from bench.measure import Subject, WrongAnswer
from bench.servers import SERVERS
from bench.workloads import WORKLOADS, Workload

Versions = Mapping[str, str]

LIBRARIES = ("asyncio", "uvloop", "trio", "curio")
COMMITTED = ROOT / "bench" / "instructions.json"
SHAPES = {"one": 1, "batch": 16}
"""The requests that are sent at once, by the shape's name."""
STREAMS = {"http2 one": 1, "http2 batch": 16}
"""The streams that are open at once, by the shape's name."""
ECHOES = {"echo 64 B": "12a", "echo 64 KiB": "12c"}
"""The rows whose messages are sent, by the shape's name."""
OVER_TLS = ("uvloop",)
"""Where a request over TLS 1.3 is counted: what it costs besides does not depend on the library."""
MESSAGE_MOST = 65536 - 14
"""Bytes of a message, so that its frame with head and mask is read at once: what comes in parts takes more turns."""
WARM, FEW, MANY = 320, 160, 2240
"""Numbers of requests, multiples of the batches: to fill caches, and two whose difference counts."""
TOLERANCE = 0.03
LOOSE = {"echo 64 KiB": 0.1}
"""What is tolerated of shapes that repeat less well: a large message may arrive in further turns of the loop."""
JOBS = 2

BUILT_WITH = """
import json, tricorn._core
core = tricorn._core.versions()
print(json.dumps({name: core[name] or "none" for name in ("OpenSSL", "nghttp2")}))
"""
CONFIGURED = "import sysconfig; print(sysconfig.get_config_var('CONFIG_ARGS'))"


@dataclass(frozen=True)
class Change:
    """The instructions of a request now, and as they were recorded, for a library and shape as in `trio one`."""

    name: str
    now: float
    before: float | None

    @property
    def ratio(self) -> float | None:
        """Return how the cost has changed; nothing when there is nothing to compare with."""
        return self.now / self.before if self.before else None

    @property
    def failed(self) -> bool:
        """Tell whether the request has become dearer than the tolerance allows."""
        shape = self.name.partition(" ")[2]
        return self.ratio is not None and self.ratio > 1 + LOOSE.get(shape, TOLERANCE)

    @property
    def mark(self) -> str:
        """Say it in a word or two."""
        if self.ratio is None:
            return "not recorded"
        return "**too many**" if self.failed else "ok"


@dataclass(frozen=True)
class Record:
    """What was counted with these versions."""

    versions: Versions
    instructions: Mapping[str, float]


def shapes(library: str) -> dict[str, Workload]:
    """Return what is sent over one connection to the server of a library, by the shape's name."""
    by_row = {workload.row: workload for workload in WORKLOADS}
    requests = {name: replace(WORKLOADS[0], depth=depth) for name, depth in SHAPES.items()}
    streams = {name: replace(by_row["14"], depth=depth) for name, depth in STREAMS.items()}
    echoes = {
        name: replace(by_row[row], body=by_row[row].body[:MESSAGE_MOST]) for name, row in ECHOES.items()
    }
    return {
        name: replace(workload, row=f"instructions-{library}-{name}", app="apps:marked", connections=1)
        for name, workload in {**requests, **streams, **echoes}.items()
    }


def count_library(library: str) -> dict[str, float]:
    """Return the instructions of a request on a library, by library and shape."""
    own = environments.Environment(ROOT / ".venv" / "bin", "", {})
    sent = shapes(library)
    phases = [(shape, requests) for shape in sent.values() for requests in (WARM, FEW, MANY)]
    first = replace(sent["one"], http2=True)  # the server is to speak that, too
    counts = count_phases(Subject(first, SERVERS[f"tricorn-{library}"], own), phases)
    return {
        f"{library} {name}": per_request((FEW, counts[3 * at + 1]), (MANY, counts[3 * at + 2]))
        for at, name in enumerate(sent)
    }


def count_tls(library: str) -> dict[str, float]:
    """Return the instructions of a request over TLS on a library, those of OpenSSL included; the handshakes are not."""
    own = environments.Environment(ROOT / ".venv" / "bin", "", {})
    usual = replace(
        WORKLOADS[0], row=f"instructions-{library}-tls", app="apps:marked", connections=1, tls=True
    )
    phases = [
        (replace(usual, depth=depth), requests) for depth in SHAPES.values() for requests in (WARM, FEW, MANY)
    ]
    counts = count_phases(Subject(usual, SERVERS[f"tricorn-{library}"], own), phases)
    return {
        f"{library} tls {name}": per_request((FEW, counts[3 * at + 1]), (MANY, counts[3 * at + 2]))
        for at, name in enumerate(SHAPES)
    }


def count_all(libraries: Sequence[str]) -> dict[str, float]:
    """Return the instructions of a request for each library and shape."""
    environments.load_generator()
    environments.socket_load_generator()
    environments.steady_clock()
    with ThreadPoolExecutor(JOBS) as pool:
        encrypted = [pool.submit(count_tls, library) for library in libraries if library in OVER_TLS]
        counts = [*pool.map(count_library, libraries), *(each.result() for each in encrypted)]
        return {name: value for each in counts for name, value in each.items()}


def compare(now: Mapping[str, float], before: Mapping[str, float]) -> list[Change]:
    """Set the counts beside the recorded ones."""
    return [Change(name, value, before.get(name)) for name, value in now.items()]


def table(changes: Sequence[Change]) -> str:
    """Format the counts as a Markdown table."""
    lines = [
        "| library, shape | instructions/request | recorded | change | |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for change in changes:
        before = "" if change.before is None else f"{change.before:,.0f}"
        moved = "" if change.ratio is None else f"{change.ratio - 1:+.1%}"
        lines.append(f"| {change.name} | {change.now:,.0f} | {before} | {moved} | {change.mark} |")
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Return what the counts depend on besides our own code."""
    found = environments.prepare(SERVERS["tricorn-asyncio"], environments.default_python())
    configured = environments.run_checked([str(found.programs / "python"), "-c", CONFIGURED])
    compiler = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=False)
    return {
        "python": found.python.partition(" ")[0],
        "configured": hashlib.sha256(configured.encode()).hexdigest()[:8],
        "gcc": compiler.stdout.strip() or "none",
        **json.loads(environments.run_checked([str(found.programs / "python"), "-c", BUILT_WITH])),
        **{name: found.packages[name] for name in ("uvloop", "trio", "curio") if name in found.packages},
    }


def read_records(path: Path) -> list[Record]:
    """Return what was recorded; nothing when there is no file."""
    if not path.exists():
        return []
    return [Record(each["versions"], each["instructions"]) for each in json.loads(path.read_text())]


def recorded(records: Sequence[Record], here: Versions) -> Record:
    """Return the record of these versions, an empty one when there is none."""
    return next((record for record in records if record.versions == here), Record(here, {}))


def write_record(path: Path, here: Versions, now: Mapping[str, float]) -> None:
    """Record counts; those of other versions, and of libraries that were not counted, stay."""
    records = read_records(path)
    merged = {**recorded(records, here).instructions, **{name: round(value) for name, value in now.items()}}
    others = [{"versions": r.versions, "instructions": r.instructions} for r in records if r.versions != here]
    path.write_text(json.dumps([*others, {"versions": here, "instructions": merged}], indent=2) + "\n")


def differences(records: Sequence[Record], here: Versions) -> str:
    """Say in what each record's versions differ from those here."""
    found = []
    for record in records:
        names = dict.fromkeys([*here, *record.versions])
        found.append(
            ", ".join(
                f"{name} {record.versions.get(name, 'none')} (here {here.get(name, 'none')})"
                for name in names
                if record.versions.get(name) != here.get(name)
            )
        )
    return "; or ".join(found) or "nothing"


def run(words: Sequence[str]) -> int:
    """Count, print and compare; 1 when a library has become dearer."""
    parser = argparse.ArgumentParser(prog="bench/instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="record the counts in bench/instructions.json")
    parser.add_argument("--libraries", default=",".join(LIBRARIES), help="with commas (default: all four)")
    options = parser.parse_args(words)
    require_valgrind()
    here = versions()
    now = count_all(options.libraries.split(","))
    if options.update:
        write_record(COMMITTED, here, now)
    records = read_records(COMMITTED)
    before = recorded(records, here)
    changes = compare(now, before.instructions)
    print(table(changes))
    if not before.instructions:
        print(
            "compared with nothing, as these versions were not recorded, but: " + differences(records, here)
        )
    return 1 if any(change.failed for change in changes) else 0


def main() -> None:
    """Run the command and exit."""
    try:
        sys.exit(run(sys.argv[1:]))
    except (Unusable, WrongAnswer) as fault:
        sys.exit(f"bench/instructions: {fault}")
