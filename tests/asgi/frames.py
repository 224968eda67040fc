"""Where wsproto and websockets do otherwise than the frames in C; docs/websockets.md has the same table for users."""

from __future__ import annotations

import re

_CUT = "reads a compressed message that ends within a block, and takes the end of it from what is not there"
_TAIL = "loses its place when a client leaves in the four bytes that belong removed from a compressed message"
_KEPT = "keeps what compression goes on with for every WebSocket, idle or not"

DIFFERENCES: dict[str, dict[str, str]] = {
    "wsproto": {
        "answers 1002 to the close code 1014": r"client_closes\[.*-1014\]",
        "refuses too big a message when its bytes have come, not when its length is announced": (
            r"-largest-length\]|announced_length_that_is_too_large"
        ),
        "agrees to the window that a client names, even a larger one, and does not tell its own": (
            r"windows_of_every_size\[.*-1[345]\]|our_own_windows\[.*-9\]"
        ),
        "agrees to offers with parameters that it does not know, twice or with a value too many": (
            r"declined\[.*(unknown|takeover=|takeover; server|bits; client|bits\]|=09\]|=\+9\]|=010\])"
        ),
        "declines offers with a window of 8 bits, and agrees to nothing in a field with quoted values": (
            r'agreed_to\[.*"10"|quoted_values|our_own_wishes'
        ),
        "compresses as it likes: the level and the memory of the options do nothing": r"",
        "answers 1007 to what comes behind a message whose last block says that it is the last": (
            r"examples_of_the_rfc|final_blocks_with_context"
        ),
        _CUT: r"ends_within_a_block",
        _TAIL: r"tail_that_is_not_left_out",
        _KEPT: r"memory_of_idle_ones_with_compression",
    },
    "websockets": {
        "reads lengths that are not in their shortest form": r"",
        "answers 1009 to a length that its frame cannot have, such as 2^63": (
            r"-(long-ping-announced|negative-length)\]"
        ),
        "looks at reserved bits when the frame is complete": r"at_their_head\[.*-rsv2\]",
        "looks whether text is UTF-8 when its frame is complete": r"utf8_fails_at_the_first_bad_byte",
        "answers 1002 to compressed data that is damaged": r"compressed_messages_that_fail",
        "agrees to nothing in a field with an empty parameter or value, or with a quoted one that is no token": (
            r"declined\[.*bits=\]|quoted_values"
        ),
        "reads nothing of what comes behind a message whose last block says that it is the last": (
            r"examples_of_the_rfc|final_blocks_with_context"
        ),
        _CUT: r"ends_within_a_block",
        _TAIL: r"tail_that_is_not_left_out",
        _KEPT: r"memory_of_idle_ones_with_compression",
    },
}
"""For each library, what it does, and which tests do not hold for it (searched for in their names; none if empty)."""


def difference(library: str, test: str) -> str | None:
    """Return what a library does instead of what a test of that name expects, ``None`` where it holds."""
    known = DIFFERENCES.get(library, {}).items()
    return next((f"{library} {what}" for what, tests in known if tests and re.search(tests, test)), None)
