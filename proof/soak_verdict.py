"""What the soak's samples say: whether memory has a trend, and whether all that was held is given back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import linear_regression, median

from proof.table import Line

SIXTHS = 6
MEMORY = 1 << 20
"""Bytes by which memory may differ amid traffic: what allocators and caches come to hold in any run, however long."""
SLOPE = 4.0
"""Bytes an answer by which memory may grow, in a run long enough to tell. What few answers leave shows at the rests."""
RESTING = 512 << 10
HEAP = 160 << 10
BLOCKS = 600
OBJECTS = 400
"""What may come and go in each process from the second rest to the last. By then caches are full, and the handles made
that uvloop keeps; from then on a run of an hour differed by 34 KiB of heap, 98 blocks and 36 objects at most."""
FILLED = 1
"""Which rest the last is held against."""

OPEN = 100
"""Descriptors amid the traffic of a few clients: those that have left are closed soon."""

SECURE = ("tls", "workers")
"""The servers that speak TLS, and are hung up: they read their certificates again."""

DELIBERATE = "RuntimeError: deliberate"


@dataclass(frozen=True)
class Sample:
    """What was seen amid the traffic.

    Attributes:
        sixth: In which part of the run, from 1 on.
        answers: After how many answers.
        memory: Bytes besides files.
        descriptors: How many were open.
    """

    sixth: int
    answers: int
    memory: int
    descriptors: int


@dataclass(frozen=True)
class Rest:
    """What the serving processes hold together at the end of a sixth, when nobody asks for anything.

    Attributes:
        answers: How many answers came before.
        memory: Bytes besides files.
        descriptors: Those of each process, most first; the supervisor's behind them.
        threads: In all.
        objects: What Python's collector knows of.
        blocks: Python's blocks of memory.
        heap: Bytes in use of the C library's heap.
        references: Of a Python that counts them, else 0.
        parent: Bytes besides files of the supervisor, 0 without one.
    """

    answers: int
    memory: int
    descriptors: tuple[int, ...]
    threads: int
    objects: int
    blocks: int
    heap: int
    references: int
    parent: int


@dataclass
class Record:
    """A run of one server so far.

    Attributes:
        library: The async library.
        variant: Which of the servers it is.
        samples: Those amid the traffic.
        rests: One for each sixth that is over.
        right: How many answers were right.
        kinds: How many kinds of scenes were played.
        told: How many clients were told to go elsewhere while workers were replaced.
        wrong: What was wrong, the first of each scene.
        hangups: How often the server was sent a hang-up.
        log: What it has logged.
        code: Its exit code; ``None`` while it runs.
    """

    library: str
    variant: str
    samples: list[Sample] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    right: int = 0
    kinds: int = 0
    told: int = 0
    wrong: list[str] = field(default_factory=list)
    hangups: int = 0
    log: str = ""
    code: int | None = None


def tracebacks(log: str) -> tuple[int, list[str]]:
    """Return how many tracebacks a log has, and the last lines of those that are not the application's own doing."""
    found = log.split("Traceback (most recent call last):\n")[1:]
    ends = [
        next((line for line in text.splitlines() if line and not line[0].isspace()), "") for text in found
    ]
    return len(ends), [end for end in ends if end != DELIBERATE]


ALARMS = re.compile(
    r"Task was destroyed|never awaited|never retrieved|Exception ignored|Fatal Python error|Segmentation|CRITICAL"
)


def mebibytes(count: float) -> str:
    """Show a number of bytes."""
    return f"{count / (1 << 20):+.2f} MiB"


def slope(samples: Sequence[Sample]) -> float:
    """Return by how many bytes memory grows with each answer, in the middle of all samples."""
    if len({sample.answers for sample in samples}) < 2:
        return 0.0
    return linear_regression([s.answers for s in samples], [s.memory for s in samples]).slope


def trend(record: Record) -> Iterator[Line]:
    """Judge the memory amid the traffic of a server whose processes stay: the second sixth beside the last."""
    early = [sample for sample in record.samples if sample.sixth == 2]
    late = [sample for sample in record.samples if sample.sixth == SIXTHS]
    if not early or not late:
        if record.code is not None:
            yield Line("memory amid traffic", record.library, "not seen", "seen", False)
        return
    before, after = (median(sample.memory for sample in part) for part in (early, late))
    grown = after - before
    between = late[len(late) // 2].answers - early[len(early) // 2].answers
    figure = f"{mebibytes(grown)} at {before / (1 << 20):.1f} MiB"
    bound = f"{mebibytes(MEMORY)}"
    yield Line(
        "memory amid traffic, last sixth against second", record.library, figure, bound, grown <= MEMORY
    )
    most_open = max(sample.descriptors for sample in record.samples)
    figure = f"{most_open} at most"
    yield Line("descriptors amid traffic", record.library, figure, f"{OPEN}", most_open <= OPEN)
    fitted = slope([sample for sample in record.samples if sample.sixth >= 2])
    most = max(SLOPE, MEMORY / max(1, between))
    figure = f"{fitted:+.2f} bytes an answer, over {between:,} answers"
    yield Line(
        "memory's slope from the second sixth on", record.library, figure, f"{most:.1f}", fitted <= most
    )


def rested(record: Record) -> Iterator[Line]:
    """Judge what is held at rest: the end of the second sixth beside that of the last."""
    if len(record.rests) <= FILLED + 1:
        if record.code is not None:
            yield Line("what is held at the rests", record.library, "not seen", "seen", False)
        return
    first, last = record.rests[FILLED], record.rests[-1]
    answers = f"{last.answers - first.answers:,} answers"
    processes = len(last.descriptors) - (1 if last.parent else 0)

    def line(what: str, held: Callable[[Rest], int], most: int, unit: int = 1) -> Line:
        grown = held(last) - held(first)
        counts = ", ".join(f"{held(rest) // unit:,}" for rest in record.rests)
        figure = f"{counts}: {grown // unit:+,} in the last {answers}"
        return Line(f"{what} at the rests", record.library, figure, f"{most // unit:+,}", grown <= most)

    yield line("memory, KiB,", lambda rest: rest.memory, processes * RESTING, 1024)
    if first.parent:
        yield line("the supervisor's memory, KiB,", lambda rest: rest.parent, RESTING, 1024)
    yield line("KiB in use of the C heap", lambda rest: rest.heap, processes * HEAP, 1024)
    yield line("Python's blocks", lambda rest: rest.blocks, processes * BLOCKS)
    yield line("Python's objects", lambda rest: rest.objects, processes * OBJECTS)
    if first.references:
        yield line("Python's references", lambda rest: rest.references, 4 * processes * BLOCKS)
    seen = {rest.descriptors for rest in record.rests}
    shown = ", ".join("/".join(map(str, one)) for one in sorted(seen))
    yield Line("descriptors at the rests", record.library, shown, "the same", len(seen) == 1)
    seen_threads = {rest.threads for rest in record.rests}
    shown = ", ".join(map(str, sorted(seen_threads)))
    yield Line("threads at the rests", record.library, shown, "the same", len(seen_threads) == 1)


def behaviour(record: Record) -> Iterator[Line]:
    """Judge the answers, the log and the end."""
    figure = f"{record.right:,} of {record.kinds} kinds right, {len(record.wrong)} wrong"
    if record.wrong:
        figure += f": {'; '.join(record.wrong[:3])}"
    good = not record.wrong and record.right > 0
    yield Line("answers", record.library, figure, "0 wrong", good)
    if record.variant in SECURE:
        told = f", {record.told} clients told to go elsewhere" if record.told else ""
        figure = f"{record.hangups}, each with another certificate in use afterwards{told}"
        yield Line("hang-ups amid traffic", record.library, figure, "at least one", record.hangups > 0)
    count, strange = tracebacks(record.log)
    alarms = ALARMS.findall(record.log)
    figure = f"{count:,} of deliberate errors, {len(strange) + len(alarms)} others"
    if strange or alarms:
        figure += f": {'; '.join([*strange, *alarms][:3])}"
    yield Line("tracebacks in the log", record.library, figure, "0 others", not strange and not alarms)
    if record.code is not None:
        yield Line("exit code", record.library, str(record.code), "0", record.code == 0)


def judge(record: Record) -> list[Line]:
    """Return what a run so far says."""
    stays = record.variant != "workers"
    found = [*behaviour(record), *(trend(record) if stays else ()), *rested(record)]
    names = {"plain": "one process", "tls": "one process, TLS", "workers": "two workers, TLS"}
    name = names[record.variant]
    return [Line(f"{name}: {one.what}", one.library, one.figure, one.bound, one.held) for one in found]
