"""The fuzzers: each for a share of CPU time, with all that they have learned before."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from proof import fuzzing
from proof.table import Line, Settings

AT_ONCE = 2


def lines(settings: Settings) -> Iterator[Line]:
    """Run every fuzzer, two at a time; ``minutes`` are minutes of CPU time of all together."""
    names = fuzzing.targets()
    if not names:
        yield Line("the fuzzers", "", "not built: `make fuzz` builds them", "each runs", False)
        return
    given = fuzzing.shares(names, 60 * settings.minutes)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for run in pool.map(fuzzing.fuzz, names, given.values()):
            said = ", ".join(run.found) or "nothing found"
            figure = f"{run.inputs:,} inputs in {run.cpu:.0f} s of CPU time, {run.edges:,} edges, {said}"
            held = not run.found and run.inputs > 0 and run.edges > 0
            yield Line(f"fuzzer {run.target}", "", figure, "nothing found", held)
