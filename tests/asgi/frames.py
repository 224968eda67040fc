"""Where wsproto and websockets do otherwise than the frames in C; ``docs/websockets.md`` has the same table for users."""

from __future__ import annotations

import re

DIFFERENCES: dict[str, dict[str, str]] = {"wsproto": {}, "websockets": {}}
"""For each library, which tests do not hold (searched for in their names) and what it does instead."""


def difference(library: str, test: str) -> str | None:
    """Return what a library does instead of what a test of that name expects, ``None`` where it holds."""
    found = (what for pattern, what in DIFFERENCES.get(library, {}).items() if re.search(pattern, test))
    what = next(found, None)
    return None if what is None else f"{library} {what}"
