"""Which proxies are believed, and what: how the options of that group are read."""

from __future__ import annotations

import ipaddress
import os
from typing import Final

FIELDS: Final[dict[str, int]] = {
    "x-forwarded-for": 1,
    "x-forwarded-proto": 2,
    "x-forwarded-host": 4,
    "x-forwarded-port": 8,
    "x-forwarded-prefix": 16,
    "forwarded": 32,
}
"""The fields by which proxies tell of a request, each with its bit in the core."""

ALL_FIELDS: Final = ",".join(FIELDS)
ALLOW_ENV: Final = "FORWARDED_ALLOW_IPS"
MOST_HOPS: Final = 64


def split(text: str) -> list[str]:
    """Return the elements of a comma-separated list."""
    return [item.strip() for item in text.split(",") if item.strip()]


def allowed(given: str | None) -> str:
    """Return who is trusted: as given, else what the environment says, else this machine alone.

    Raises:
        ValueError: The environment has what :func:`check_allowed` refuses.
    """
    if given is not None:
        return given
    from_environment = os.environ.get(ALLOW_ENV)
    if from_environment is None:
        return "127.0.0.1"
    try:
        check_allowed(from_environment)
    except ValueError as error:
        raise ValueError(f"of the environment variable {ALLOW_ENV} {error}") from None
    return from_environment


def check_allowed(text: str) -> None:
    """Check a list of addresses, networks, words such as ``unix``, or ``*`` alone."""
    items = split(text)
    if "*" in items and len(items) > 1:
        raise ValueError(f"must have * alone, as it is every peer, not {text!r}")
    for item in items:
        if any(char.isspace() for char in item) or not item.isascii():
            raise ValueError(f"must be addresses, networks or words between commas, not {item!r}")
        if "/" in item:
            _check_network(item)


def _check_network(text: str) -> None:
    host, _, bits = text.partition("/")
    if not _is_address(host):
        return  # a word, as the path of a socket may be one
    try:
        ipaddress.ip_network(text)
    except ValueError:
        wanted = _network(text)
        remedy = f"did you mean {wanted}?" if wanted else f"{bits!r} is no length of a prefix"
        raise ValueError(f"must have networks such as 10.0.0.0/8, not {text!r}: {remedy}") from None
    if not bits.isdecimal():
        raise ValueError(f"must have the length of the prefix behind the slash, not {text!r}")


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_fields(text: str) -> None:
    """Check a list of names of fields."""
    for item in split(text):
        if item.lower() not in FIELDS:
            raise ValueError(f"must be some of {', '.join(FIELDS)}, not {item!r}")


def mask(text: str) -> int:
    """Return the bits of a list of names."""
    return sum({FIELDS[item.lower()] for item in split(text)})


def check_path(text: str) -> None:
    """Check the path of a check of health, as it stands in requests."""
    visible = all("!" <= char <= "~" for char in text)
    if not text.startswith("/") or not visible or "?" in text or "#" in text:
        raise ValueError(f"must be a path such as /healthz, as requests have it, not {text!r}")
