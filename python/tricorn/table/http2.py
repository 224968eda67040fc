"""HTTP/2: where it is spoken, and how much a client may open, send and ask for."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option
from tricorn.table.kinds import limit

CALM: Final = "ENHANCE_YOUR_CALM"
WINDOW: Final = 2**31 - 1

GROUP: Final = "HTTP/2"


def _budget(field: str, default: int, what: str, attack: str, name: str | None = None) -> Option:
    """How much of something a connection may bring in a second."""
    return limit(
        f"h2-max-{name or field.replace('_', '-')}",
        GROUP,
        f"{what}, in a second of a connection; 0 is any number.",
        default,
        minimum=0,
        metavar="NUMBER",
        field=f"h2_{field}",
        attack=attack,
        answer=CALM,
    )


ROWS: Final[tuple[Option, ...]] = (
    Option(
        "http2",
        GROUP,
        "Speak HTTP/2 also without TLS, with clients that begin with it; without either, it is spoken over TLS only,"
        " with clients that ask for it there.",
        "flag",
        None,
        unset="over TLS",
        negative=True,
    ),
    limit(
        "h2-max-concurrent-streams",
        GROUP,
        "Requests that a client may have open at once on a connection.",
        100,
        maximum=WINDOW,
        metavar="NUMBER",
        field="h2_streams",
        attack="floods of requests on one connection",
        answer="REFUSED_STREAM",
    ),
    limit(
        "h2-initial-window-size",
        GROUP,
        "Bytes of a request's body that a client may send before the application takes them.",
        131_072,
        minimum=1024,
        maximum=WINDOW,
        field="h2_window",
        attack="bodies that fill memory",
        answer="the client waits",
    ),
    limit(
        "h2-connection-window-size",
        GROUP,
        "The same of all requests of a connection.",
        2_097_152,
        minimum=65_535,
        maximum=WINDOW,
        field="h2_connection_window",
        attack="bodies of many requests that fill memory",
        answer="the client waits",
    ),
    limit(
        "h2-max-frame-size",
        GROUP,
        "Bytes of a frame that a client may send.",
        16_384,
        minimum=16_384,
        maximum=2**24 - 1,
        field="h2_frame",
        attack="frames that fill memory",
        answer="FRAME_SIZE_ERROR",
    ),
    _budget(
        "resets",
        200,
        "Streams that are reset: by the client, or for its mistakes",
        "rapid reset, MadeYouReset",
    ),
    _budget("pings", 1000, "PING frames", "floods of pings"),
    _budget("settings", 20, "SETTINGS frames", "floods of settings"),
    _budget(
        "empty", 100, "Frames without content that end nothing", "floods of empty frames", "empty-frames"
    ),
    _budget(
        "small",
        100_000,
        "DATA frames of less than 64 bytes, and heads of requests that have begun",
        "floods of frames that cost more than they bring",
        "small-frames",
    ),
    _budget(
        "priorities",
        500,
        "PRIORITY and PRIORITY_UPDATE frames",
        "floods that reorder answers again and again",
    ),
    _budget(
        "window_updates",
        1000,
        "WINDOW_UPDATE frames beyond two for each DATA frame of the server's and one for each KiB of it",
        "floods of window updates",
    ),
    _budget(
        "unknown", 100, "Frames of types that ask for nothing", "floods of unknown frames", "unknown-frames"
    ),
    limit(
        "h2-max-continuations",
        GROUP,
        "CONTINUATION frames of a request's head; 0 is any number.",
        16,
        minimum=0,
        metavar="NUMBER",
        field="h2_continuations",
        attack="heads without end",
        answer=CALM,
    ),
    limit(
        "h2-max-queue",
        GROUP,
        "Frames that wait for a client to read them, beside those of answers.",
        1000,
        metavar="NUMBER",
        field="h2_queue",
        attack="clients that ask for answers and do not read them",
        answer=CALM,
    ),
)
