"""What a linter of HTTP messages finds bad in answers, and which of it is the server's doing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache

from httplint import HttpRequestLinter, HttpResponseLinter
from httplint.note import levels

Field = tuple[str, str]

APART = {
    "STATUS_URI_TOO_LONG": "about the request: repeats why it was refused",
    "STATUS_VERSION_NOT_SUPPORTED": "about the request: repeats why it was refused",
    "STATUS_NONSTANDARD": "the status is the application's; the core's own are all standard",
    "CREATED_WITHOUT_LOCATION": "201 and its fields are the application's",
}
"""Notes that are not the server's doing, and why."""

OF_APPLICATIONS = {("date", "then"), ("date", "Thu, 01 Jan 1970 00:00:00 GMT")}
"""Fields that applications of the tests set, and which are meant to be wrong: the server must pass them on."""

MOST_CONTENT = 1 << 16


def bad_notes(
    topline: tuple[str, int, str],
    fields: Sequence[Field],
    content: bytes | None = None,
    *,
    complete: bool = True,
    asked: HttpRequestLinter | None = None,
) -> list[str]:
    """Return what is bad in an answer of that version, status and reason; None for content that is not looked at."""
    version, status, reason = topline
    linter = HttpResponseLinter(start_time=time.time(), no_content=content is None, _related=asked)
    linter.process_response_topline(version.encode(), b"%d" % status, reason.encode("latin-1"))
    linter.process_headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields])
    linter.feed_content(content or b"")
    linter.finish_content(complete)
    return [
        f"{type(note).__name__}: {note.subject}: {note.summary}"
        for note in linter.notes
        if note.level == levels.BAD and type(note).__name__ not in APART
    ]


def check(topline: tuple[str, int, str], fields: Sequence[Field], content: bytes | None) -> None:
    """Fail when there is something bad in an answer that the server caused.

    Answers that differ in their dates and contents only are looked at once: thousands are alike, and the reader
    of an answer holds each to its framing.
    """
    fields = [(name, value) for name, value in fields if (name.lower(), value) not in OF_APPLICATIONS]
    alike = tuple((name, value) for name, value in fields if name.lower() != "date" or not _is_date(value))
    if (topline, alike, content is None) not in _seen:
        _seen.add((topline, alike, content is None))
        long = content is not None and len(content) > MOST_CONTENT
        found = bad_notes(topline, fields, None if long else content)
        assert not found, f"{topline} {fields}: {found}"


_seen: set[tuple[tuple[str, int, str], tuple[Field, ...], bool]] = set()


@cache
def _is_date(value: str) -> bool:
    try:
        time.strptime(value, "%a, %d %b %Y %H:%M:%S GMT")
    except ValueError:
        return False
    return True
