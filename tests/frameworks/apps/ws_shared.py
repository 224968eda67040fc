"""What the applications with WebSockets have in common, apart from any framework.

Every application has the same three paths:

=================  ==============================================================================
``/echo?token=T``  takes the subprotocol ``chat`` if it is offered, sends every message back, closes
                   with 4001 on the text ``CLOSE``; notes how the WebSocket ended
``/deny``          answers ``DENIAL`` with 403 where the framework can, and does not accept anyhow
``/notes``         sends everything noted so far, as JSON, and closes
=================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

CHAT = "chat"
CLOSE = "close, please"
CODE = 4001
REASON = "as you wished ✓"
DENIAL = "not on a Monday\n"
DENIAL_FIELD = ("x-why", "Monday")

notes: list[str] = []


def chosen(offered: Sequence[str]) -> str | None:
    """Return the subprotocol that is taken of those that a client offers."""
    return CHAT if CHAT in offered else None


def note_end(token: str, *told: object) -> None:
    """Note that a WebSocket has ended, and what the framework told of it: a code, perhaps a reason."""
    notes.append(" ".join([token, "ended", *map(str, told)]).rstrip())
