"""Where wsproto and websockets do otherwise than the frames in C; docs/websockets.md has the same table for users."""

from __future__ import annotations

import re

_CUT = "reads a compressed message that ends within a block, and takes the end of it from what is not there"

DIFFERENCES: dict[str, dict[str, str]] = {
    "wsproto": {
        "answers 1002 to the close code 1014": r"client_closes\[.*-1014\]",
        "refuses too big a message when its bytes have come, not when its length is announced": r"",
        "agrees to the window that a client names, even a larger one, and does not tell its own": r"",
        "agrees to offers with parameters that it does not know, twice or with a value too many": r"",
        "declines offers with a window of 8 bits or with quoted values": r"",
        "compresses as it likes: the level and the memory of the options do nothing": r"",
        "answers 1007 to what comes behind a message whose last block says that it is the last": r"",
        _CUT: r"",
    },
    "websockets": {
        "reads lengths that are not in their shortest form": r"",
        "answers 1009 to a length of 2^63 or more": r"",
        "looks whether text is UTF-8 when its frame is complete": r"utf8_fails_at_the_first_bad_byte",
        "answers 1002 to compressed data that is damaged": r"",
        "declines an offer with an empty parameter": r"",
        "reads nothing of what comes behind a message whose last block says that it is the last": r"",
        _CUT: r"",
    },
}
"""For each library, what it does, and which tests do not hold for it (searched for in their names; none if empty)."""


def difference(library: str, test: str) -> str | None:
    """Return what a library does instead of what a test of that name expects, ``None`` where it holds."""
    known = DIFFERENCES.get(library, {}).items()
    return next((f"{library} {what}" for what, tests in known if tests and re.search(tests, test)), None)
