"""Worker processes: how many, when they are replaced, and what they share."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option, check_path
from tricorn.table.kinds import DAY, pause

GROUP: Final = "Processes"

_MONTH: Final = 31 * DAY

ROWS: Final[tuple[Option, ...]] = (
    Option(
        "workers",
        GROUP,
        "The worker processes. With more than one a supervisor starts, watches and replaces them.",
        "integer",
        unset="WEB_CONCURRENCY, else 1",
        metavar="NUMBER",
        minimum=1,
        maximum=480,
    ),
    Option(
        "preload",
        GROUP,
        "Import the application once and fork the workers from there, so that they share its memory.",
        "flag",
        False,
        negative=True,
    ),
    Option(
        "worker-sockets",
        GROUP,
        "Whether each worker has a listening socket of its own, which its successor keeps, or all share one.",
        default="own",
        choices=("own", "shared"),
        metavar="KIND",
    ),
    pause(
        "timeout-worker-healthcheck",
        GROUP,
        "Seconds that a worker's loop may stand still before the worker is ended and replaced; 0 or none is no limit.",
        5.0,
    ),
    Option(
        "workers-lifetime",
        GROUP,
        "Replace a worker after so many seconds.",
        "seconds",
        unset="never",
        metavar="SECONDS",
        minimum=1,
        maximum=_MONTH,
    ),
    Option(
        "workers-lifetime-jitter",
        GROUP,
        "Up to so many seconds more, at random for each worker.",
        "seconds",
        0.0,
        metavar="SECONDS",
        minimum=0,
        maximum=_MONTH,
    ),
    Option(
        "workers-max-rss",
        GROUP,
        "Replace a worker whose resident memory is over so many MiB.",
        "integer",
        unset="never",
        metavar="MIB",
        minimum=1,
        maximum=2**31 - 1,
    ),
    Option(
        "workers-max-rss-jitter",
        GROUP,
        "Up to so many MiB more, at random for each worker.",
        "integer",
        0,
        metavar="MIB",
        minimum=0,
        maximum=2**31 - 1,
    ),
    Option(
        "pid-file",
        GROUP,
        "Have the number of the server's process in this file while it runs.",
        metavar="PATH",
        rule=check_path,
    ),
)
