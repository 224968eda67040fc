"""The fields that the server adds to answers."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option, parse_field

GROUP: Final = "Fields of every answer"

ROWS: Final[tuple[Option, ...]] = (
    Option("server-header", GROUP, "Send a Server field.", "flag", True, negative=True),
    Option("date-header", GROUP, "Send a Date field.", "flag", True, negative=True),
    Option(
        "header",
        GROUP,
        "A further field; may be given several times. A Server or Date field replaces the server's own.",
        default=(),
        metavar="NAME:VALUE",
        multiple=True,
        keywords=("headers",),
        rule=parse_field,
    ),
)
