"""Whom to believe about clients, and how load balancers see whether the server is well."""

from __future__ import annotations

from typing import Final

from tricorn.option import Option
from tricorn.proxies import ALL_FIELDS, ALLOW_ENV, MOST_HOPS, check_allowed, check_fields, check_path
from tricorn.table.kinds import DAY

GROUP: Final = "Proxies and health checks"

ROWS: Final[tuple[Option, ...]] = (
    Option(
        "proxy-headers",
        GROUP,
        "Believe what trusted proxies say of clients in X-Forwarded-* and Forwarded.",
        "flag",
        True,
        negative=True,
    ),
    Option(
        "forwarded-allow-ips",
        GROUP,
        "The proxies that are trusted: addresses and networks between commas, unix for peers over Unix sockets,"
        " or * for every peer.",
        unset=f"{ALLOW_ENV} of the environment, or 127.0.0.1",
        metavar="LIST",
        rule=check_allowed,
    ),
    Option(
        "forwarded-fields",
        GROUP,
        "The fields that are believed, between commas: name those that your proxy sets or removes.",
        default=ALL_FIELDS,
        metavar="LIST",
        rule=check_fields,
    ),
    Option(
        "forwarded-hops",
        GROUP,
        "The number of proxies before the server: the client is the address so far from the right.",
        "integer",
        unset="the right-most address that is not trusted",
        metavar="NUMBER",
        minimum=1,
        maximum=MOST_HOPS,
    ),
    Option(
        "health-path",
        GROUP,
        "Answer this path with 200 without the application, as long as the worker lives.",
        metavar="PATH",
        rule=check_path,
    ),
    Option(
        "ready-path",
        GROUP,
        "Answer this path with 200, or with 503 while the server stops or does not keep up.",
        metavar="PATH",
        rule=check_path,
    ),
    Option(
        "ready-max-lag",
        GROUP,
        "With --ready-path: how late the event loop may be before the answer is 503.",
        "seconds",
        unset="any",
        metavar="SECONDS",
        minimum=0.001,
        maximum=DAY,
    ),
)
