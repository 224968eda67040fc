"""HTTP/2: where it is spoken."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option

GROUP: Final = "HTTP/2"

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
)
