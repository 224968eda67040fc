"""Starting the application anew when its files change."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option
from tricorn.table.kinds import DAY

GROUP: Final = "Reloading while you develop"

ROWS: Final[tuple[Option, ...]] = (
    Option(
        "reload",
        GROUP,
        "Start the application anew when one of its files changes.",
        "flag",
        False,
    ),
    Option(
        "reload-dir",
        GROUP,
        "A directory to watch; may be given several times. By default the current one, and --app-dir.",
        default=(),
        metavar="DIRECTORY",
        multiple=True,
        keywords=("reload_dirs",),
    ),
    Option(
        "reload-include",
        GROUP,
        "Files to watch beside *.py, as a pattern such as *.html; may be given several times.",
        default=(),
        metavar="PATTERN",
        multiple=True,
        keywords=("reload_includes",),
    ),
    Option(
        "reload-exclude",
        GROUP,
        "Files and directories not to watch beside .*, .py[cod], .sw.* and ~*; may be given several times.",
        default=(),
        metavar="PATTERN",
        multiple=True,
        keywords=("reload_excludes",),
    ),
    Option(
        "reload-delay",
        GROUP,
        "Seconds between two looks at the files, where the package watchfiles is not installed.",
        "seconds",
        0.25,
        metavar="SECONDS",
        minimum=0.01,
        maximum=DAY,
    ),
)
