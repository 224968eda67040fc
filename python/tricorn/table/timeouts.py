"""How long peers and applications may take."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option
from tricorn.table.kinds import DAY, timeout

GROUP: Final = "Deadlines, in seconds"

ROWS: Final[tuple[Option, ...]] = (
    timeout(
        "timeout-keep-alive",
        GROUP,
        "How long a connection may be idle between requests.",
        5.0,
        minimum=0,
        field="keep_alive_ms",
        attack="parked connections",
        answer="closed",
    ),
    timeout(
        "timeout-first-request",
        GROUP,
        "From connecting to the end of the first request's head.",
        30.0,
        field="first_head_ms",
        attack="connections that stay silent",
        answer="closed, 408 once a byte came",
    ),
    timeout(
        "timeout-request-head",
        GROUP,
        "From the first byte of a request's head to its last; further bytes do not restart it.",
        20.0,
        field="head_ms",
        attack="slowloris, heads sent byte by byte",
        answer="408",
    ),
    timeout(
        "timeout-request-body",
        GROUP,
        "How long no byte may come of a body that the application waits for.",
        30.0,
        field="body_ms",
        attack="stalled uploads",
        answer="408",
    ),
    timeout(
        "timeout-write",
        GROUP,
        "How long a client may take no byte of an answer.",
        30.0,
        field="write_ms",
        attack="readers that stall to hold memory",
        answer="closed",
    ),
    timeout(
        "timeout-linger",
        GROUP,
        "How long a closing connection is read from, so that no reset eats the answer.",
        2.0,
        field="linger_ms",
        attack="clients that never stop sending",
        answer="closed",
    ),
    Option(
        "request-timeout",
        GROUP,
        "How long an answer may take from the end of the request's head: then the request is cancelled, and"
        " answered with 504 if nothing was sent.",
        "seconds",
        unset="no limit",
        metavar="SECONDS",
        minimum=0.001,
        maximum=DAY,
        field="request_ms",
        attack="requests that never end",
        answer="504, or closed within an answer",
    ),
)
