"""Shows that a decoder's cost is linear: an input of eight times the units costs eight times the instructions.

    growth.py PROGRAM

The program (see growth.h) decodes inputs of several shapes, each at four sizes, under callgrind, which counts
instructions: they repeat on a busy machine, where times do not. The cost of one more unit may nowhere be more than
TOLERANCE above what it was between smaller sizes, unless all units together cost next to nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

TOLERANCE = 0.2
SIZES = 4
MEASURED = "growth_measured"


def count(program: str, folder: Path) -> Iterator[tuple[str, int, int]]:
    """Run the program; yield the name of each shape, its units, and the instructions that they took.

    Raises:
        subprocess.CalledProcessError: The program, or callgrind, has failed.
        ValueError: There is not a count for each.
    """
    options = ("--collect-atstart=no", f"--toggle-collect={MEASURED}", f"--dump-after={MEASURED}")
    command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={folder}/out", *options, program]
    # Meson would have the C library write into every block, of which a larger message leaves larger ones.
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_PERTURB_"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    told = done.stdout.splitlines()
    for number, line in enumerate(told[:-1], 1):  # the last is the tally of checks
        units, _, name = line.partition(" ")
        (total,) = re.findall(r"^totals: (\d+)$", (folder / f"out.{number}").read_text(), re.MULTILINE)
        yield name, int(units), int(total)


def marginal(points: Sequence[tuple[int, int]]) -> list[float]:
    """Return what one more unit costs between each two sizes: pairs of units and instructions."""
    return [(more[1] - few[1]) / (more[0] - few[0]) for few, more in pairwise(points)]


def is_flat(points: Sequence[tuple[int, int]]) -> bool:
    """Tell whether a unit costs the same at every size, or the largest input hardly more than the smallest."""
    costs = marginal(points)
    if points[-1][1] <= (1 + TOLERANCE) * points[0][1]:
        return True
    return all(
        later <= (1 + TOLERANCE) * least for least, later in zip(accumulate(costs, min), costs, strict=True)
    )


def main() -> int:
    """Print a line for each shape and a tally; return the exit code."""
    (program,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        counted = list(count(program, Path(folder)))
    passed = failed = 0
    for at in range(0, len(counted), SIZES):
        points = [(units, total) for _, units, total in counted[at : at + SIZES]]
        flat = is_flat(points)
        passed, failed = passed + flat, failed + (not flat)
        figures = " ".join(f"{cost:12,.1f}" for cost in marginal(points))
        print(f"{'ok' if flat else 'GROWS':6} {counted[at][0]:60} {figures}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
