"""The kinds of measurement: what a figure is called, in what unit it is shown, and which one is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from bench.workloads import Workload

Sample = Mapping[str, float]
"""What one measurement gave, by the figure's name."""


@dataclass(frozen=True)
class Column:
    """A column of the table: its title, and a figure as it stands there."""

    title: str
    show: Callable[[Sample], str]


@dataclass(frozen=True)
class Kind:
    """How a workload's figures are shown; `main` is the figure that ratios and bars are of."""

    main: str
    unit: str
    columns: tuple[Column, ...]
    repeats: bool = True
    """Whether it is measured once a round; counts of instructions need one round."""


def number(name: str, digits: int = 0, scale: float = 1) -> Callable[[Sample], str]:
    """Show a figure with so many digits, divided by `scale`."""
    return lambda sample: f"{sample[name] / scale:,.{digits}f}"


def system(sample: Sample) -> str:
    """Show the time in system mode."""
    return f"{sample['cpu'] - sample['user']:.2f}"


def latency(sample: Sample) -> str:
    """Show the middle and the high latency."""
    return f"{sample['p50']:.0f} / {sample['p99']:.0f}"


def returned(sample: Sample) -> str:
    """Show the share of the memory that came back."""
    return f"{1 - sample['kept']:.0%}"


REQUESTS = Kind(
    main="cpu",
    unit="µs of CPU per request",
    columns=(
        Column("CPU µs/request", number("cpu", 2)),
        Column("user", number("user", 2)),
        Column("system", system),
        Column("requests/s", number("rate")),
        Column("latency p50 / p99 µs", latency),
    ),
)

MESSAGES = Kind(
    main="cpu",
    unit="µs of CPU per message and its echo",
    columns=(
        Column("CPU µs/message", number("cpu", 2)),
        *REQUESTS.columns[1:3],
        Column("messages/s", number("rate")),
        *REQUESTS.columns[4:],
    ),
)

BROADCASTS = Kind(
    main="cpu",
    unit="µs of CPU per broadcast",
    columns=(
        Column("CPU µs/broadcast", number("cpu")),
        Column("user", number("user")),
        *REQUESTS.columns[2:3],
        Column("broadcasts/s", number("rate")),
        *REQUESTS.columns[4:],
    ),
)

BYTES = Kind(
    main="cpu",
    unit="ms of CPU per GB",
    columns=(
        Column("CPU ms/GB", number("cpu", 2)),
        Column("user", number("user", 2)),
        Column("system", system),
        Column("GB/s", number("rate", 2)),
    ),
)

UPLOAD = Kind(
    main="cpu",
    unit=BYTES.unit,
    columns=(*BYTES.columns, Column("memory grown, KiB", number("grown", 0, 1024))),
)

SPREAD = Kind(
    main="share",
    unit="share of the connections that the busier of two workers has",
    columns=(
        Column("busier worker", lambda sample: f"{sample['share']:.0%}"),
        Column("workers", number("workers")),
    ),
)

IDLE = Kind(
    main="bytes",
    unit="bytes of user memory for a connection",
    columns=(
        Column("bytes each", number("bytes")),
        Column("back after they close", returned),
        Column("server before, MiB", number("before", 1, 1 << 20)),
    ),
)

STALL = Kind(
    main="bytes",
    unit="bytes of user memory for a reader",
    columns=IDLE.columns,
)

GROWTH = Kind(main="growth", unit="dearest size's cost ÷ the smallest's", columns=(), repeats=False)
CROWD = Kind(main="growth", unit=GROWTH.unit, columns=())

KINDS = {
    "requests": REQUESTS,
    "messages": MESSAGES,
    "broadcasts": BROADCASTS,
    "bytes": BYTES,
    "upload": UPLOAD,
    "spread": SPREAD,
    "idle": IDLE,
    "stall": STALL,
    "growth": GROWTH,
    "crowd": CROWD,
}


def point_column(size: int, digits: int) -> Column:
    """Make the column of what a request costs at a size."""
    return Column(f"at {size:,}", number(str(size), digits))


def columns(workload: Workload) -> tuple[Column, ...]:
    """Return a workload's columns: those of its kind, and of a growth one for each size."""
    kind = KINDS[workload.kind]
    if kind.main != "growth":
        return kind.columns
    digits = 2 if workload.kind == "crowd" else 0
    points = tuple(point_column(point.size, digits) for point in workload.points)
    return (Column("growth", number("growth", 3)), *points)


def growth(costs: Mapping[int, float], marginal: bool) -> float:
    """Return how the cost grows with the size: at most 1 when it does not.

    Of requests: the dearest size's cost over the smallest's. Of a further unit (`marginal`): what it costs between the
    two largest sizes over what it costs between the two smallest.
    """
    sizes = sorted(costs)
    if not marginal:
        return max(costs.values()) / costs[sizes[0]]
    slopes = [(costs[b] - costs[a]) / (b - a) for a, b in pairwise(sizes)]
    return slopes[-1] / slopes[0]
