"""TLS: the certificate of the server and its key."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option
from tricorn.table.kinds import timeout

GROUP: Final = "TLS"

ROWS: Final[tuple[Option, ...]] = (
    Option(
        "ssl-certfile",
        GROUP,
        "Speak HTTPS with the certificate in this file, PEM, the server's own first and then those that signed it.",
        metavar="PATH",
    ),
    Option(
        "ssl-keyfile",
        GROUP,
        "The file of the certificate's private key, PEM.",
        unset="the file of the certificate",
        metavar="PATH",
    ),
    Option(
        "ssl-keyfile-password",
        GROUP,
        "The password of the private key.",
        metavar="TEXT",
    ),
    timeout(
        "ssl-handshake-timeout",
        GROUP,
        "From connecting to the end of the TLS handshake; the time for the first request begins there.",
        10.0,
        field="handshake_ms",
        attack="handshakes that are never finished",
        answer="closed",
    ),
)
