"""What :class:`tricorn.Config` makes of the options of uvicorn that are none of Tricorn's, or have other values there.

An option that Tricorn does not have is accepted with the values that ask for what Tricorn does anyway, and refused with
any other: it is never ignored in silence. An option that Tricorn gets leaves :data:`MISSING`.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable
from typing import Any, Final

from tricorn.errors import UsageError

NAMES: Final = frozenset(
    {
        "host",
        "port",
        "uds",
        "fd",
        "reload",
        "reload-dir",
        "reload-include",
        "reload-exclude",
        "reload-delay",
        "workers",
        "loop",
        "http",
        "http2",
        "ws",
        "ws-max-size",
        "ws-max-queue",
        "ws-ping-interval",
        "ws-ping-timeout",
        "ws-per-message-deflate",
        "lifespan",
        "interface",
        "env-file",
        "log-config",
        "log-level",
        "access-log",
        "use-colors",
        "proxy-headers",
        "server-header",
        "date-header",
        "forwarded-allow-ips",
        "root-path",
        "limit-concurrency",
        "backlog",
        "limit-max-requests",
        "limit-max-requests-jitter",
        "timeout-keep-alive",
        "timeout-graceful-shutdown",
        "timeout-worker-healthcheck",
        "ssl-keyfile",
        "ssl-certfile",
        "ssl-keyfile-password",
        "ssl-version",
        "ssl-cert-reqs",
        "ssl-ca-certs",
        "ssl-ciphers",
        "header",
        "app-dir",
        "h11-max-incomplete-event-size",
        "reset-contextvars",
        "factory",
        "app",
    }
)
"""The options of uvicorn's command, and its argument ``app``."""

ENV_PREFIX: Final = "UVICORN_"

_VARIABLES: Final = {"workers": "WEB_CONCURRENCY", "forwarded-allow-ips": "FORWARDED_ALLOW_IPS"}
"""Variables of another prefix that uvicorn asks, the last."""

SPLITTERS: Final = {"reload-dir": ":"}
"""What uvicorn has between the values of an option in one variable; any white space for the others."""

MISSING: Final[dict[str, tuple[Any, ...]]] = {
    "timeout_notify": (30,),
    "callback_notify": (None,),
    "ssl_context_factory": (None,),
}
"""The options that Tricorn does not have, each with the values that it accepts; the first is what reading it gives."""

_PLURALS: Final = {
    "reload_dir": "reload_dirs",
    "reload_include": "reload_includes",
    "reload_exclude": "reload_excludes",
}

_NOT_THERE: Final = (
    "is an option of uvicorn that Tricorn does not have",
    "leave it out; docs/uvicorn.md lists what differs",
)
FLAGS: Final = frozenset({"reload", "proxy_headers", "reset_contextvars"})
"""Those of :data:`MISSING` that take no value on the command line."""

NONE_IS_DEFAULT: Final = frozenset({"app_dir", "h11_max_incomplete_event_size", "headers", "log_level"})
"""Keywords of options with a default of their own here, for which uvicorn writes ``None``."""

LISTS: Final = frozenset({"reload_dir", "reload_include", "reload_exclude"})
"""Options of several values for which uvicorn takes one text, or ``None``, as well."""

_LEVELS: Final = {5: "trace"} | {
    number: name.lower()
    for name, number in logging.getLevelNamesMapping().items()
    if name in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
}


def variables(names: Iterable[str]) -> tuple[str, ...]:
    """Return the environment variables by which uvicorn's users set an option.

    Args:
        names: What the option is called on the command line, with its aliases.
    """
    theirs = [name for name in names if name in NAMES]
    own = [ENV_PREFIX + name.replace("-", "_").upper() for name in theirs]
    return (*own, *(_VARIABLES[name] for name in theirs if name in _VARIABLES))


def missing(name: str, known: Container[str]) -> str | None:
    """Return the keyword of an option of uvicorn that Tricorn does not have.

    Args:
        name: A name on uvicorn's command line, or its keyword.
        known: The attributes of Tricorn's options.

    Returns:
        The keyword; ``None`` for any other option.
    """
    keyword = name.replace("-", "_")
    keyword = _PLURALS.get(keyword, keyword)
    return keyword if keyword in MISSING and keyword not in known else None


def accept(keyword: str, value: Any, shown: str = "") -> None:
    """Accept an option of :data:`MISSING` with a value that changes nothing.

    Args:
        keyword: Its name in Python.
        value: Its value.
        shown: How it was given; by default as in Python.

    Raises:
        UsageError: The value asks for something that Tricorn does not do.
    """
    # As True == 1, a number is not taken for a flag.
    if any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in MISSING[keyword]):
        return
    problem, remedy = reason(keyword)
    raise UsageError(f"{shown or f'{keyword}={value!r}'} {problem}", remedy)


def reason(keyword: str) -> tuple[str, str]:
    """Return why an option is refused, in words that follow its name, and the way out."""
    return _NOT_THERE


def level_name(level: Any) -> Any:
    """Return the name of a level of logging that was given as a number; anything else as it is."""
    if isinstance(level, bool) or not isinstance(level, int):
        return level
    return _LEVELS.get(int(level), level)


def listed(value: Any) -> Any:
    """Turn one text into a sequence of it, and ``None`` into an empty one; leave anything else for the check."""
    if isinstance(value, str):
        return (value,)
    return () if value is None else value


def join_fields(fields: Any) -> Any:
    """Turn pairs of name and value into ``name:value``; leave anything else for the check of the option."""
    if isinstance(fields, str) or not isinstance(fields, (list, tuple)):
        return fields
    return tuple(":".join(field) if _is_pair(field) else field for field in fields)


def _is_pair(field: Any) -> bool:
    if not isinstance(field, tuple) or len(field) != 2:
        return False
    return all(isinstance(part, str) for part in field) and ":" not in field[0]
