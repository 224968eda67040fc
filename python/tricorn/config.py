"""What one server is to do: every option with its value, checked."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from tricorn.errors import UsageError
from tricorn.importer import Application
from tricorn.options import BY_ATTRIBUTE, OPTIONS, default, parse_field

SERVER_NAME = b"tricorn"


@dataclass(frozen=True, slots=True)
class Config:
    """The options of a server, named as on the command line with underscores for dashes.

    Times are in seconds, sizes in bytes; ``docs/options.md`` describes each option. ``app`` is an ASGI
    application, or where to import it from (``"module:attribute"``).

    Raises:
        UsageError: A value is of a wrong type or out of range, or two options contradict each other.
    """

    app: str | Application
    host: str = default("host")
    port: int = default("port")
    uds: str | None = default("uds")
    uds_mode: int | None = default("uds_mode")
    fd: int | None = default("fd")
    backlog: int = default("backlog")
    async_library: str = default("async_library")
    loop: str = default("loop")
    http: str = default("http")
    lifespan: str = default("lifespan")
    root_path: str = default("root_path")
    app_dir: str = default("app_dir")
    factory: bool = default("factory")
    log_level: str = default("log_level")
    access_log: bool = default("access_log")
    use_colors: bool | None = default("use_colors")
    server_header: bool = default("server_header")
    date_header: bool = default("date_header")
    header: tuple[str, ...] = default("header")
    timeout_keep_alive: float = default("timeout_keep_alive")
    timeout_first_request: float = default("timeout_first_request")
    timeout_request_head: float = default("timeout_request_head")
    timeout_request_body: float = default("timeout_request_body")
    timeout_write: float = default("timeout_write")
    timeout_linger: float = default("timeout_linger")
    request_timeout: float | None = default("request_timeout")
    cancel_on_disconnect: bool = default("cancel_on_disconnect")
    timeout_graceful_shutdown: float | None = default("timeout_graceful_shutdown")
    limit_concurrency: int | None = default("limit_concurrency")
    limit_connections: int = default("limit_connections")
    limit_request_line: int = default("limit_request_line")
    limit_request_head: int = default("limit_request_head")
    limit_request_fields: int = default("limit_request_fields")
    limit_request_body: int = default("limit_request_body")
    min_request_body_rate: int = default("min_request_body_rate")
    limit_trailers: int = default("limit_trailers")
    limit_chunk_extensions: int = default("limit_chunk_extensions")
    limit_body_buffer: int = default("limit_body_buffer")
    limit_send_buffer: int = default("limit_send_buffer")
    limit_drain: int = default("limit_drain")

    def __post_init__(self) -> None:
        if not isinstance(self.app, str) and not callable(self.app):
            raise UsageError(
                f"the application is {type(self.app).__name__!r}, which cannot be called",
                "pass an ASGI application or a string such as 'main:app'",
            )
        for option in OPTIONS:
            try:
                value = option.check(getattr(self, option.attribute))
            except ValueError as error:
                raise UsageError(f"{option.attribute} {error}") from None
            object.__setattr__(self, option.attribute, value)
        self._check_contradictions()

    @classmethod
    def from_options(cls, app: str | Application, **options: Any) -> Config:
        """Build a configuration from keyword arguments that a user wrote.

        Unlike the constructor, it knows the options' other names (such as ``headers``), and a field may be a
        pair ``(name, value)`` instead of ``"name:value"``.

        Raises:
            UsageError: An option is unknown or given twice, or as from the constructor.
        """
        known: dict[str, Any] = {}
        for keyword, value in options.items():
            attribute = _attribute(keyword)
            if attribute in known:
                raise UsageError(f"{attribute} is given twice, once as {keyword}", "give it once")
            known[attribute] = value
        if "header" in known:
            known["header"] = _join_fields(known["header"])
        return cls(app, **known)

    @property
    def library(self) -> str:
        """The async library that was asked for, by either name; ``auto`` leaves the choice to the server."""
        if self.async_library != "auto":
            return self.async_library
        return "asyncio" if self.loop == "none" else self.loop

    @property
    def limits(self) -> dict[str, int]:
        """Every field of the core's ``tri_limits``: times in milliseconds, sizes in bytes, 0 for no limit."""
        limits = {
            option.field: option.limit(getattr(self, option.attribute)) for option in OPTIONS if option.field
        }
        limits["send_low"] = self.limit_send_buffer // 4
        return limits

    @property
    def default_fields(self) -> list[tuple[bytes, bytes]]:
        """The fields that ``header`` adds to every answer, as name and value."""
        return [parse_field(text) for text in self.header]

    @property
    def sends_date(self) -> bool:
        """Whether the core adds a Date field: not when it is switched off or among :attr:`default_fields`."""
        return self.date_header and not self._has_field(b"date")

    @property
    def server_name(self) -> bytes:
        """The value of the Server field that the core adds; empty when it adds none."""
        return SERVER_NAME if self.server_header and not self._has_field(b"server") else b""

    def _has_field(self, name: bytes) -> bool:
        return any(field.lower() == name for field, _ in self.default_fields)

    def _check_contradictions(self) -> None:
        if self.uds is not None and self.fd is not None:
            raise UsageError("--uds and --fd are both given, and a server listens on one of them", "give one")
        if self.uds_mode is not None and self.uds is None:
            raise UsageError("--uds-mode is given without --uds", "give the path of a Unix socket with --uds")
        loop = "asyncio" if self.loop == "none" else self.loop
        if "auto" not in (loop, self.async_library) and loop != self.async_library:
            raise UsageError(
                f"--loop {self.loop} contradicts --async-library {self.async_library}",
                "give one of them, they mean the same",
            )


def _attribute(keyword: str) -> str:
    """Return the attribute that a keyword means."""
    names = {name: name for name in BY_ATTRIBUTE}
    for option in OPTIONS:
        others = (*(alias.replace("-", "_") for alias in option.aliases), *option.keywords)
        names |= dict.fromkeys(others, option.attribute)
    if keyword in names:
        return names[keyword]
    close = difflib.get_close_matches(keyword, names, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else "'tricorn --help' lists the options"
    raise UsageError(f"there is no option {keyword!r}", remedy)


def _join_fields(fields: Any) -> Any:
    """Turn pairs of name and value into ``name:value``; leave anything else for the check of the option."""
    if isinstance(fields, str) or not isinstance(fields, (list, tuple)):
        return fields
    return tuple(":".join(field) if _is_pair(field) else field for field in fields)


def _is_pair(field: Any) -> bool:
    if not isinstance(field, tuple) or len(field) != 2:
        return False
    return all(isinstance(part, str) for part in field) and ":" not in field[0]
