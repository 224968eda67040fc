"""How a server stops."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option
from tricorn.table.kinds import DAY, U32, pause

GROUP: Final = "Stopping"

ROWS: Final[tuple[Option, ...]] = (
    pause(
        "drain-delay",
        GROUP,
        "How long the server goes on accepting and serving after the first signal, as not ready, so that a balancer"
        " stops sending to it; 0 stops at once.",
        0.0,
    ),
    Option(
        "shutdown-signal-streams",
        GROUP,
        "When the server stops, let receive() say http.disconnect once the body was read, so that streams without end,"
        " such as server-sent events, end.",
        "flag",
        False,
    ),
    Option(
        "timeout-graceful-shutdown",
        GROUP,
        "How long requests may go on after the first signal; then their tasks are cancelled.",
        "seconds",
        unset="no limit",
        metavar="SECONDS",
        minimum=0,
        maximum=DAY,
    ),
    pause(
        "timeout-forced-shutdown",
        GROUP,
        "How long requests that were cancelled, and the shutdown of the application, may take; then the process ends"
        " with code 4, whatever the application does. 0 is no limit.",
        30.0,
    ),
    Option(
        "limit-max-requests",
        GROUP,
        "Requests after which the server stops as by a signal, with code 0.",
        "integer",
        unset="no limit",
        metavar="NUMBER",
        minimum=1,
        maximum=U32,
    ),
    Option(
        "limit-max-requests-jitter",
        GROUP,
        "At most so many more, chosen at random at the start, so that not all servers stop at once.",
        "integer",
        0,
        metavar="NUMBER",
        minimum=0,
        maximum=U32,
    ),
)
