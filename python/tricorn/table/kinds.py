"""Rows of a kind: deadlines, limits, and pauses of WebSockets."""

from __future__ import annotations

from typing import Any, Final

from tricorn.option import Option

U32: Final = 2**32 - 1
U64: Final = 2**64 - 1
DAY: Final = 86_400.0


def timeout(name: str, group: str, help: str, default: float, **more: Any) -> Option:
    """A time of more than 0 seconds, at most a day."""
    defaults: dict[str, Any] = {"minimum": 0.001, "maximum": DAY}
    return Option(name, group, help, "seconds", default, metavar="SECONDS", **(defaults | more))


def limit(name: str, group: str, help: str, default: int, **more: Any) -> Option:
    """A number of bytes, or of what ``metavar`` says."""
    defaults: dict[str, Any] = {"minimum": 1, "maximum": U32, "metavar": "BYTES"}
    return Option(name, group, help, "integer", default, **(defaults | more))


def pause(name: str, group: str, help: str, default: float, **more: Any) -> Option:
    """A time that 0 switches off."""
    defaults: dict[str, Any] = {"minimum": 0, "maximum": DAY, "metavar": "SECONDS", "ends": True}
    return Option(name, group, help, "seconds", default, **(defaults | more))
