"""What is logged, where and how."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option

GROUP: Final = "Logging"

ROWS: Final[tuple[Option, ...]] = (
    Option(
        "log-level",
        GROUP,
        "The least severe messages that are logged.",
        default="info",
        choices=("critical", "error", "warning", "info", "debug", "trace"),
        metavar="LEVEL",
    ),
    Option(
        "access-log", GROUP, "Log a line for each request, to standard output.", "flag", True, negative=True
    ),
    Option(
        "use-colors",
        GROUP,
        "Colour the log.",
        "flag",
        unset="on for terminals, unless NO_COLOR is set",
        negative=True,
    ),
)
