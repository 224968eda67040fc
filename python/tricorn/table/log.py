"""What is logged, where and how."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option, check_access_format, check_access_glob, check_log_path

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
        "log-file",
        GROUP,
        "Where messages go; - is standard error. SIGUSR1 reopens it.",
        default="-",
        metavar="PATH",
        rule=check_log_path,
    ),
    Option(
        "log-config",
        GROUP,
        "A configuration of Python's logging, .json, .yaml, .toml or ini, in the place of our own; one for uvicorn "
        "does as well.",
        default="tricorn",
        metavar="FILE",
    ),
    Option("access-log", GROUP, "Log a line for each request.", "flag", True, negative=True),
    Option(
        "access-log-file",
        GROUP,
        "Where requests are logged; - is standard output. SIGUSR1 reopens it.",
        default="-",
        metavar="PATH",
        rule=check_log_path,
    ),
    Option(
        "access-log-format",
        GROUP,
        "The lines: uvicorn, json, common, combined, or a format with atoms such as '%(h)s \"%(r)s\" %(s)s'; see "
        "docs/logging.md.",
        default="uvicorn",
        metavar="FORMAT",
        rule=check_access_format,
    ),
    Option(
        "access-log-exclude",
        GROUP,
        "Paths that are not logged, such as /healthz or /static/*. May be given several times.",
        default=(),
        unset="none",
        metavar="GLOB",
        multiple=True,
        rule=check_access_glob,
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
