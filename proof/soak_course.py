"""One server under the soak: its traffic, the rests between, and what is seen of it; run as a process of its own."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from harness import until

from proof.soak_http import SCENES, Scene, Told
from proof.soak_http2 import HTTP2_SCENES
from proof.soak_server import Soaked, anonymous, descriptors, threads
from proof.soak_tls import TLS_SCENES
from proof.soak_verdict import SIXTHS, Record, Rest, Sample, judge
from proof.soak_websockets import WEBSOCKET_SCENES
from proof.table import Line

MOST_SAMPLES = 360
SAMPLING = 1.0
"""Seconds between samples, unless a sixth is short."""
STEADY = 100
"""Looks at the descriptors, 5 ms apart, in which nothing changes."""
CLOSING = 10.0
"""Seconds within which descriptors must be closed and threads have ended that a rest has beyond the first."""
LOOKS = 100
"""Connections, at most, until each worker has told what it holds."""
QUIET = 120.0
"""Seconds within which a server must come to rest."""
SETTLING = 1.5
"""Seconds without traffic before a server is looked at: pools keep what half a second has needed."""


class Traffic:
    """Clients of every kind, which use a bounded share of a processor.

    Args:
        server: Whom they ask.
        share: How much of a core all of them take, from 0 to 1.
    """

    def __init__(self, server: Soaked, share: float) -> None:
        self.told = 0
        self.wrong: list[str] = []
        self.right: Counter[str] = Counter()
        self._server = server
        last = (*TLS_SCENES, *SCENES) if server.secure else SCENES
        groups: Sequence[tuple[Scene, ...]] = (SCENES, HTTP2_SCENES, WEBSOCKET_SCENES, last)
        self._share = share / len(groups)
        self._lock = threading.Lock()
        self._go = threading.Event()
        self._over = False
        self._idle = [False] * len(groups)
        self._threads = [
            threading.Thread(target=self._run, args=(n, scenes), daemon=True)
            for n, scenes in enumerate(groups)
        ]
        for thread in self._threads:
            thread.start()

    def flow(self) -> None:
        """Have the clients ask."""
        self._go.set()

    def rest(self) -> None:
        """Have them ask nothing, once what they are at is over."""
        self._go.clear()
        until(lambda: all(self._idle), "the clients rest", 60)

    def end(self) -> None:
        """End the clients."""
        self._over = True
        self._go.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, number: int, scenes: Sequence[Scene]) -> None:
        rnd = random.Random(number)
        while not self._over:
            if not self._go.is_set():
                self._idle[number] = True
                self._go.wait()
                self._idle[number] = False
                continue
            began, used = time.monotonic(), time.thread_time()
            self._play(rnd.choice(scenes), rnd)
            due = (time.thread_time() - used) / self._share - (time.monotonic() - began)
            time.sleep(min(max(due, 0.001), 5.0))

    def _play(self, scene: Scene, rnd: random.Random) -> None:
        name = f"{scene.__module__.rpartition('_')[2]}.{scene.__name__}"
        right, told, wrong = 0, 0, ""
        try:
            right = scene(self._server, rnd)
        except Told as error:
            told, wrong = (1, "") if self._server.going else (0, f"told to go {error}")
        except Exception as error:
            wrong = repr(error)[:300]
        with self._lock:
            self.right[name] += right
            self.told += told
            if wrong:
                self.wrong.append(f"{name}: {wrong}")


@dataclass
class Course:
    """A run of one server from its start to its end.

    Args:
        library: The async library.
        variant: Which server it is, one of ``soak_server.VARIANTS``.
        seconds: How long the traffic takes.
        folder: Where logs and what is found are written.
        share: How much of a core the clients take.
        environment: More environment variables of the server.
    """

    library: str
    variant: str
    seconds: float
    folder: Path
    share: float = 0.05
    environment: dict[str, str] | None = None

    def run(self, tell: Callable[[list[Line]], object] = len) -> list[Line]:
        """Run it; ``tell`` hears at each rest what is to be said so far. Returns what is to be said in the end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._record = Record(self.library, self.variant)
        self._server = Soaked(self.variant, self.library, self.folder, self.environment)
        try:
            self._traffic = Traffic(self._server, self.share)
            for sixth in range(1, SIXTHS + 1):
                self._flow(sixth)
                self._record.rests.append(self._rest())
                tell(self._judge())
            self._traffic.end()
            self._record.code = self._server.stop(signal.SIGTERM, 60)
            return self._judge()
        finally:
            self._server.kill()

    def _judge(self) -> list[Line]:
        """Take in what the traffic and the log tell, and return what is to be said."""
        record, traffic = self._record, self._traffic
        record.right, record.kinds = traffic.right.total(), len(+traffic.right)
        record.told, record.wrong = traffic.told, list(traffic.wrong)
        record.hangups, record.log = self._server.hangups, self._server.log()
        return judge(record)

    def _flow(self, sixth: int) -> None:
        """Have traffic for a sixth of the time, with two hang-ups in its first half, and take samples."""
        length = self.seconds / SIXTHS
        pause = min(max(SAMPLING, self.seconds / MOST_SAMPLES), length / 8)
        began = time.monotonic()
        hangups = [began + length / 4, began + length / 2] if self._server.secure else []
        self._traffic.flow()
        while (now := time.monotonic()) < began + length:
            if hangups and now >= hangups[0]:
                hangups.pop(0)
                self._server.hang_up()
            if not self._server.workers:
                pid = self._server.process.pid
                answers = self._traffic.right.total()
                self._record.samples.append(Sample(sixth, answers, anonymous(pid), descriptors(pid)))
            time.sleep(max(0.0, min(pause, began + length - time.monotonic())))
        self._traffic.rest()

    def _rest(self) -> Rest:
        """Wait until the server has nothing to do, its workers stay, and return what it holds."""
        server = self._server
        time.sleep(SETTLING)
        deadline = time.monotonic() + QUIET
        while time.monotonic() < deadline:
            pids = server.pids()
            with suppress(FileNotFoundError, ProcessLookupError):  # a worker that is being replaced has ended
                rest = self._look(pids, [server.process.pid] if server.workers else [])
                if rest is not None and server.pids() == pids:
                    return rest
            time.sleep(0.1)
        raise AssertionError(f"not within {QUIET:g} s: the server rests")

    def _look(self, pids: Sequence[int], parent: Sequence[int]) -> Rest | None:
        """Return what is held; ``None`` while applications work, or workers come and go."""
        found: dict[int, dict[str, int]] = {}
        for _ in range(LOOKS):
            known = self._server.facts(collect=True)
            if known["active"] == 1:
                found[known["pid"]] = known
            if len(found) >= len(pids):
                break
        if sorted(found) != pids or len(pids) != (2 if self._server.workers else 1):
            return None

        def total(key: str) -> int:
            return sum(one[key] for one in found.values())

        open_files, running = self._held(pids, parent)
        return Rest(
            answers=self._traffic.right.total(),
            memory=sum(map(anonymous, pids)),
            descriptors=open_files,
            threads=running,
            objects=total("objects"),
            blocks=total("blocks"),
            heap=total("heap"),
            references=total("references"),
            parent=sum(map(anonymous, parent)),
        )

    def _held(self, pids: Sequence[int], parent: Sequence[int]) -> tuple[tuple[int, ...], int]:
        """Return how many descriptors and threads there are, once those that the first rest had not had time to end."""
        firsts = [(rest.descriptors, rest.threads) for rest in self._record.rests[:1]]
        deadline = time.monotonic() + CLOSING
        while True:
            found = settled_all(pids, parent), sum(map(threads, pids))
            if firsts in ([], [found]) or time.monotonic() >= deadline:
                return found


def settled_all(pids: Sequence[int], parent: Sequence[int]) -> tuple[int, ...]:
    """Return the descriptors of the serving processes, most first, and then those of the supervisor."""
    return (*sorted(map(settled, pids), reverse=True), *map(settled, parent))


def settled(pid: int) -> int:
    """Return how many descriptors a process has, once the number stays for half a second."""
    counts: list[int] = []

    def stays() -> bool:
        counts.append(descriptors(pid))
        return len(counts) >= STEADY and len(set(counts[-STEADY:])) == 1

    until(stays, "the descriptors stay")
    return counts[-1]


def leave(number: int, frame: FrameType | None) -> None:
    """End as at any error, so that the server ends, too."""
    sys.exit(128 + number)


def main(words: Sequence[str]) -> None:
    """Run a course: its library, variant, seconds, folder and share; what it says is kept in ``lines.json`` there."""
    library, variant, seconds, folder, share = words
    path = Path(folder)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, servers would not hear of it
    signal.signal(signal.SIGTERM, leave)
    sys.executable = os.environ.get("SOAK_PYTHON", sys.executable)

    def tell(lines: list[Line]) -> None:
        (path / "lines.new").write_text(json.dumps([asdict(line) for line in lines]))
        (path / "lines.new").replace(path / "lines.json")

    tell(Course(library, variant, float(seconds), path, float(share)).run(tell))


if __name__ == "__main__":
    main(sys.argv[1:])
