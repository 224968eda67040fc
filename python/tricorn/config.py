"""What one server is to do: every option with its value, checked."""

from __future__ import annotations

import configparser
import difflib
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tricorn import environment, importer, proxies, tls, uvicorn_options
from tricorn.errors import StartupError, UsageError
from tricorn.importer import Application
from tricorn.option import Bind, is_every_address, parse_bind, parse_field
from tricorn.options import BY_ATTRIBUTE, OPTIONS, default
from tricorn.protocols import websocket

SERVER_NAME = b"tricorn"
KEPT_STREAMS = 128
"""Streams of zlib that the WebSockets of a worker keep at most; those least recently used are given up."""

_PATHS = {"env_file", "ssl_certfile", "ssl_keyfile", "ssl_ca_certs", "ssl_cert_dir"}
"""Options that may be given as objects of paths, too."""


@dataclass(init=False)
class Config:
    """The options of a server, named as on the command line with underscores for dashes.

    Times are in seconds, sizes in bytes; ``docs/options.md`` describes each option. ``app`` is an ASGI
    application, or where to import it from (``"module:attribute"``). The options of uvicorn are taken by its
    names and in its forms as well; ``docs/uvicorn.md`` lists what differs. A value that is set later is checked
    as well.

    Attributes:
        loaded: Whether :meth:`load` was called.
        loaded_app: The application that it found.

    Raises:
        UsageError: An option is unknown or given twice, a value is of a wrong type or out of range, two options
            contradict each other, or an option of uvicorn asks for what Tricorn does not do.
    """

    app: str | Application
    host: str = default("host")
    port: int = default("port")
    bind: tuple[str, ...] = default("bind")
    uds: str | None = default("uds")
    uds_mode: int | None = default("uds_mode")
    fd: int | None = default("fd")
    pid_file: str | None = default("pid_file")
    backlog: int = default("backlog")
    async_library: str = default("async_library")
    loop: str = default("loop")
    http: str = default("http")
    lifespan: str = default("lifespan")
    root_path: str = default("root_path")
    app_dir: str = default("app_dir")
    factory: bool = default("factory")
    interface: str = default("interface")
    wsgi_threads: int = default("wsgi_threads")
    env_file: str | None = default("env_file")
    reset_contextvars: bool = default("reset_contextvars")
    workers: int = 1
    preload: bool = default("preload")
    worker_sockets: str = default("worker_sockets")
    timeout_worker_healthcheck: float | None = default("timeout_worker_healthcheck")
    workers_lifetime: float | None = default("workers_lifetime")
    workers_lifetime_jitter: float = default("workers_lifetime_jitter")
    workers_max_rss: int | None = default("workers_max_rss")
    workers_max_rss_jitter: int = default("workers_max_rss_jitter")
    reload: bool = default("reload")
    reload_dir: tuple[str, ...] = default("reload_dir")
    reload_include: tuple[str, ...] = default("reload_include")
    reload_exclude: tuple[str, ...] = default("reload_exclude")
    reload_delay: float = default("reload_delay")
    log_level: str = default("log_level")
    log_file: str = default("log_file")
    log_config: Any = default("log_config")  # noqa: RUF009  # a name, which is immutable
    access_log: bool = default("access_log")
    access_log_file: str = default("access_log_file")
    access_log_format: str = default("access_log_format")
    access_log_exclude: tuple[str, ...] = default("access_log_exclude")
    use_colors: bool | None = default("use_colors")
    server_header: bool = default("server_header")
    date_header: bool = default("date_header")
    header: tuple[str, ...] = default("header")
    proxy_headers: bool = default("proxy_headers")
    forwarded_allow_ips: str | None = default("forwarded_allow_ips")
    forwarded_fields: str = default("forwarded_fields")
    forwarded_hops: int | None = default("forwarded_hops")
    health_path: str | None = default("health_path")
    ready_path: str | None = default("ready_path")
    ready_max_lag: float | None = default("ready_max_lag")
    ssl_certfile: str | None = default("ssl_certfile")
    ssl_keyfile: str | None = default("ssl_keyfile")
    ssl_keyfile_password: str | None = field(default=default("ssl_keyfile_password"), repr=False)
    ssl_version: int = default("ssl_version")
    ssl_min_version: str = default("ssl_min_version")
    ssl_ciphers: str | None = default("ssl_ciphers")
    ssl_cert_reqs: int = default("ssl_cert_reqs")
    ssl_ca_certs: str | None = default("ssl_ca_certs")
    ssl_crl: tuple[str, ...] = default("ssl_crl")
    ssl_cert_errors: str = default("ssl_cert_errors")
    ssl_sni_cert: tuple[str, ...] = default("ssl_sni_cert")
    ssl_cert_dir: str | None = default("ssl_cert_dir")
    ssl_reload: bool = default("ssl_reload")
    ssl_session_tickets: bool = default("ssl_session_tickets")
    ssl_ticket_lifetime: float = default("ssl_ticket_lifetime")
    ssl_handshake_timeout: float = default("ssl_handshake_timeout")
    http2: bool | None = default("http2")
    h2_max_concurrent_streams: int = default("h2_max_concurrent_streams")
    h2_initial_window_size: int = default("h2_initial_window_size")
    h2_connection_window_size: int = default("h2_connection_window_size")
    h2_max_frame_size: int = default("h2_max_frame_size")
    h2_max_resets: int = default("h2_max_resets")
    h2_max_pings: int = default("h2_max_pings")
    h2_max_settings: int = default("h2_max_settings")
    h2_max_empty_frames: int = default("h2_max_empty_frames")
    h2_max_small_frames: int = default("h2_max_small_frames")
    h2_max_priorities: int = default("h2_max_priorities")
    h2_max_window_updates: int = default("h2_max_window_updates")
    h2_max_unknown_frames: int = default("h2_max_unknown_frames")
    h2_max_continuations: int = default("h2_max_continuations")
    h2_max_queue: int = default("h2_max_queue")
    timeout_keep_alive: float = default("timeout_keep_alive")
    timeout_first_request: float = default("timeout_first_request")
    timeout_request_head: float = default("timeout_request_head")
    timeout_request_body: float = default("timeout_request_body")
    timeout_write: float = default("timeout_write")
    timeout_linger: float = default("timeout_linger")
    request_timeout: float | None = default("request_timeout")
    cancel_on_disconnect: bool = default("cancel_on_disconnect")
    drain_delay: float | None = default("drain_delay")
    shutdown_signal_streams: bool = default("shutdown_signal_streams")
    timeout_graceful_shutdown: float | None = default("timeout_graceful_shutdown")
    timeout_forced_shutdown: float | None = default("timeout_forced_shutdown")
    limit_max_requests: int | None = default("limit_max_requests")
    limit_max_requests_jitter: int = default("limit_max_requests_jitter")
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
    ws: str | Callable[..., Any] = default("ws")  # noqa: RUF009  # a name, which is immutable
    ws_max_size: int = default("ws_max_size")
    ws_max_queue: int = default("ws_max_queue")
    ws_max_queue_bytes: int = default("ws_max_queue_bytes")
    ws_max_fragments: int = default("ws_max_fragments")
    ws_max_control_rate: int = default("ws_max_control_rate")
    ws_ping_interval: float | None = default("ws_ping_interval")
    ws_ping_timeout: float | None = default("ws_ping_timeout")
    ws_handshake_timeout: float | None = default("ws_handshake_timeout")
    ws_close_timeout: float = default("ws_close_timeout")
    ws_per_message_deflate: bool = default("ws_per_message_deflate")
    ws_deflate_level: int = default("ws_deflate_level")
    ws_deflate_mem_level: int = default("ws_deflate_mem_level")
    ws_deflate_window_bits: int = default("ws_deflate_window_bits")
    ws_deflate_min_size: int = default("ws_deflate_min_size")
    ws_deflate_no_context_takeover: bool = default("ws_deflate_no_context_takeover")
    ws_deflate_client_no_context_takeover: bool = default("ws_deflate_client_no_context_takeover")
    ws_shutdown_code: int = default("ws_shutdown_code")

    def __init__(
        self,
        app: str | Application,
        host: str = default("host"),
        port: int = default("port"),
        uds: str | None = default("uds"),
        fd: int | None = default("fd"),
        **options: Any,
    ) -> None:
        if not isinstance(app, str) and not callable(app):
            raise UsageError(
                f"the application is {type(app).__name__!r}, which cannot be called",
                "pass an ASGI application or a string such as 'main:app'",
            )
        self.app = app
        self.loaded = False
        self.loaded_app: Application | None = None
        given = _by_attribute(dict(options, host=host, port=port, uds=uds, fd=fd))
        for option in OPTIONS:
            setattr(self, option.attribute, given.get(option.attribute, option.default))
        if self.env_file is not None:
            environment.load(self.env_file)
        if given.get("workers") is None:  # the file may say it, as with uvicorn
            self.workers = _worker_count()
        self._check_contradictions()

    def __setattr__(self, name: str, value: Any) -> None:
        option = BY_ATTRIBUTE.get(name)
        if name == "log_config":
            _check_log_config(value)
        elif option is not None:
            try:
                value = option.check(value)
            except ValueError as error:
                raise UsageError(f"{name} {error}") from None
        elif name in uvicorn_options.MISSING:
            uvicorn_options.accept(name, value)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Return the default of an option of uvicorn that Tricorn does not have."""
        if name in uvicorn_options.MISSING:
            return uvicorn_options.MISSING[name][0]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The fields of ``header``, as pairs."""
        return [(name.decode("ascii"), value.decode("latin-1")) for name, value in self.default_fields]

    @property
    def is_supervised(self) -> bool:
        """Whether a supervisor is to start worker processes."""
        bounds = (self.workers_lifetime, self.workers_max_rss)
        return self.workers > 1 or self.preload or any(bound is not None for bound in bounds)

    @property
    def wants_processes(self) -> bool:
        """Whether other processes than the calling one are to serve."""
        return self.is_supervised or self.reload

    @property
    def reload_dirs(self) -> list[str]:
        """The directories to watch, by uvicorn's name."""
        return list(self.reload_dir)

    @property
    def reload_includes(self) -> list[str]:
        """The patterns of files to watch, by uvicorn's name."""
        return list(self.reload_include)

    @property
    def reload_excludes(self) -> list[str]:
        """The patterns of files not to watch, by uvicorn's name."""
        return list(self.reload_exclude)

    @property
    def is_ssl(self) -> bool:
        """Whether the server speaks TLS."""
        return self.ssl_certfile is not None

    @property
    def asgi_version(self) -> str:
        """The version of ASGI that the loaded application is called by: ``"3.0"`` or ``"2.0"``."""
        interface = self.interface
        if interface == "auto" and self.loaded_app is not None:
            interface = importer.interface_of(self.loaded_app)
        return "2.0" if interface == "asgi2" else "3.0"

    def load(self) -> None:
        """Import the application, or make it with the factory, into :attr:`loaded_app`.

        Raises:
            UsageError: Two options contradict each other, or the application's name cannot be meant.
            StartupError: The application cannot be had; where its own code failed, the log says why.
        """
        self._check_contradictions()
        self.loaded_app = importer.load(
            self.app, factory=self.factory, app_dir=self.app_dir or None, interface=self.interface
        )
        self.loaded = True

    def load_app(self) -> Application:
        """Load the application, unless that was done, and return it; errors are those of :meth:`load`."""
        if self.loaded_app is None:
            self.load()
        assert self.loaded_app is not None
        return self.loaded_app

    def configure_logging(self) -> None:
        """Set up logging as the options say, unless ``log_config`` is ``None``.

        Raises:
            UsageError: ``log_config`` cannot be read, or is no configuration of logging.
            StartupError: A log file cannot be opened.
        """
        from tricorn import logs  # it needs this module for its types

        if self.log_config is None:
            logs.enable()
        elif self.log_config == default("log_config"):
            logs.configure(self)
        else:
            self._configure_by_user()

    def _configure_by_user(self) -> None:
        """Set up logging as ``log_config`` says; a level that was asked for wins, as with uvicorn."""
        from tricorn import log_config, logs

        log_config.apply(self.log_config, self.use_colors)
        logs.enable()
        if self.log_level != default("log_level"):
            logs.set_level(self.log_level)

    def bind_socket(self) -> socket.socket:
        """Return a socket that is bound to the first address of the options, and inherited by child processes.

        It is for ``Server.run(sockets=[...])`` and ``Server.serve(sockets=[...])``, which close it.

        Raises:
            StartupError: The address is not to be had.
        """
        address = self.addresses[0]
        if address.fd is not None:
            bound = socket.socket(fileno=os.dup(address.fd))
        elif address.path is not None:
            bound = _bound(address.path)
            Path(address.path).chmod(0o666 if self.uds_mode is None else self.uds_mode)
        else:
            bound = _bound((address.host, address.port))
        bound.set_inheritable(True)
        return bound

    @property
    def library(self) -> str:
        """The async library that was asked for, by either name; ``auto`` leaves the choice to the server."""
        return self.async_library if self.async_library != "auto" else self._loop_library

    @property
    def loop_factory(self) -> str:
        """``module:name`` of what makes the loop of asyncio; empty where the library makes it."""
        return self.loop if ":" in self.loop else ""

    @property
    def _loop_library(self) -> str:
        return "asyncio" if self.loop == "none" or self.loop_factory else self.loop

    @property
    def addresses(self) -> list[Bind]:
        """Where to listen."""
        if self.bind:
            return [parse_bind(text) for text in self.bind]
        if self.fd is not None:
            return [Bind(fd=self.fd)]
        if self.uds is not None:
            return [Bind(path=self.uds)]
        return [Bind(host=self.host, port=self.port)]

    @property
    def limits(self) -> dict[str, int]:
        """Every field of the core's ``tri_limits``: times in milliseconds, sizes in bytes, 0 for no limit."""
        limits = {
            option.field: option.limit(getattr(self, option.attribute)) for option in OPTIONS if option.field
        }
        limits["send_low"] = self.limit_send_buffer // 4
        return limits

    @property
    def proxies(self) -> dict[str, Any]:
        """What the core is told of proxies and of the paths that it answers."""
        try:
            allow = proxies.allowed(self.forwarded_allow_ips)
        except ValueError as error:
            raise UsageError(f"forwarded_allow_ips {error}") from None
        return {
            "allow": ",".join(proxies.split(allow)),
            "fields": proxies.mask(self.forwarded_fields) if self.proxy_headers else 0,
            "hops": self.forwarded_hops or 0,
            "health_path": self.health_path or "",
            "ready_path": self.ready_path or "",
            "ready_lag_ms": BY_ATTRIBUTE["ready_max_lag"].limit(self.ready_max_lag),
        }

    @property
    def websockets(self) -> dict[str, int] | None:
        """What the core is told of WebSockets beside their limits; ``None`` when there are none."""
        if self.ws == "none":
            return None
        return {
            "deflate": self.ws_per_message_deflate,
            "no_context": self.ws_deflate_no_context_takeover,
            "client_no_context": self.ws_deflate_client_no_context_takeover,
            "window_bits": self.ws_deflate_window_bits,
            "level": self.ws_deflate_level,
            "mem_level": self.ws_deflate_mem_level,
            "min_size": self.ws_deflate_min_size,
            "streams": KEPT_STREAMS,
            "stop_code": self.ws_shutdown_code,
        }

    @property
    def frames(self) -> websocket.Settings:
        """What a class that makes the frames of WebSockets is told of them."""
        return websocket.Settings(
            self.ws_max_size,
            self.ws_max_fragments,
            self.ws_per_message_deflate,
            self.ws_deflate_no_context_takeover,
            self.ws_deflate_client_no_context_takeover,
            self.ws_deflate_window_bits,
            self.ws_deflate_level,
            self.ws_deflate_mem_level,
            self.ws_deflate_min_size,
        )

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
        if self.log_config != default("log_config") and (self.log_file, self.access_log_file) != ("-", "-"):
            raise UsageError(
                "--log-config says where logs go, and so does --log-file or --access-log-file",
                "give one of them",
            )
        if self.uds is not None and self.fd is not None:
            raise UsageError("--uds and --fd are both given, and a server listens on one of them", "give one")
        for name in ("host", "port", "uds", "fd"):
            if self.bind and getattr(self, name) != default(name):
                raise bound_twice(name)
        if self.ready_max_lag is not None and self.ready_path is None:
            raise UsageError("--ready-max-lag is given without --ready-path", "give the path of readiness")
        tls.check(self)
        if self.health_path is not None and self.health_path == self.ready_path:
            raise UsageError("--health-path and --ready-path are the same", "give each a path of its own")
        if self.uds_mode is not None and not any(address.path for address in self.addresses):
            raise UsageError("--uds-mode is given without --uds", "give the path of a Unix socket with --uds")
        if (
            "auto" not in (self._loop_library, self.async_library)
            and self._loop_library != self.async_library
        ):
            raise UsageError(
                f"--loop {self.loop} contradicts --async-library {self.async_library}",
                "give one of them, they mean the same",
            )


def bound_twice(name: str) -> UsageError:
    """Return the error for ``--bind`` beside another option that says where to listen."""
    return UsageError(
        f"--bind and --{name} are both given, and each says where to listen",
        "give --bind alone, as often as there are addresses",
    )


def _check_log_config(value: Any) -> None:
    """Refuse what :func:`tricorn.log_config.apply` cannot take; its contents are looked at when logging is set up."""
    if value is not None and not isinstance(value, (str, dict, configparser.RawConfigParser)):
        raise UsageError(f"log_config must be a path, a dictionary, a ConfigParser or None, not {value!r}")
    if value == "":
        raise UsageError("log_config must be the path of a file, not empty")


def _worker_count() -> int:
    """Return how many workers the environment asks for, as it does on many platforms.

    Raises:
        UsageError: ``WEB_CONCURRENCY`` is no number of workers.
    """
    try:
        return int(BY_ATTRIBUTE["workers"].parse(os.environ.get("WEB_CONCURRENCY") or "1"))
    except ValueError as error:
        raise UsageError(f"WEB_CONCURRENCY {error}") from None


def _by_attribute(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options by their attributes and in their forms, out of what a user wrote."""
    known: dict[str, Any] = {}
    for keyword, value in options.items():
        if value is None and keyword in uvicorn_options.NONE_IS_DEFAULT:
            continue
        if keyword in uvicorn_options.MISSING and keyword not in BY_ATTRIBUTE:
            uvicorn_options.accept(keyword, value)
            continue
        attribute = attribute_of(keyword)
        if attribute in known:
            raise UsageError(f"{attribute} is given twice, once as {keyword}", "give it once")
        known[attribute] = value
    _translate(known)
    return known


def _translate(known: dict[str, Any]) -> None:
    """Put the values that have forms of uvicorn's into ours."""
    for name in _PATHS & known.keys():
        if isinstance(known[name], os.PathLike):  # a form of uvicorn's
            known[name] = os.fspath(known[name])
    if isinstance(known.get("forwarded_allow_ips"), (list, tuple)):  # a form of uvicorn's
        known["forwarded_allow_ips"] = ",".join(map(str, known["forwarded_allow_ips"]))
    for name in uvicorn_options.LISTS & known.keys():
        known[name] = uvicorn_options.listed(known[name])
    if known.get("ssl_ciphers") == tls.NO_CIPHERS:
        known["ssl_ciphers"] = None
    if "header" in known:
        known["header"] = uvicorn_options.join_fields(known["header"])
    if "log_level" in known:
        known["log_level"] = uvicorn_options.level_name(known["log_level"])


def attribute_of(keyword: str) -> str:
    """Return the attribute that a keyword means: an option's name, alias or keyword, with underscores.

    Raises:
        UsageError: There is no such option.
    """
    names = {name: name for name in BY_ATTRIBUTE}
    for option in OPTIONS:
        others = (*(alias.replace("-", "_") for alias in option.aliases), *option.keywords)
        names |= dict.fromkeys(others, option.attribute)
    if keyword in names:
        return names[keyword]
    close = difflib.get_close_matches(keyword, names, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else "'tricorn --help' lists the options"
    raise UsageError(f"there is no option {keyword!r}", remedy)


def _bound(address: str | tuple[str, int]) -> socket.socket:
    """Return a socket that is bound to a path, or to a host and port."""
    every = False
    if isinstance(address, str):
        family, where = socket.AF_UNIX, address
    else:
        every = is_every_address(address[0]) and socket.has_dualstack_ipv6()
        address = ("::" if every else address[0], address[1])
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        where = ":".join(map(str, address))
    bound = socket.socket(family)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not every)
        if family != socket.AF_UNIX:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        used = error.errno == errno.EADDRINUSE
        remedy = "stop the server that uses it" if used else "choose another address"
        raise StartupError(f"cannot listen on {where}: {error.strerror}", remedy) from None
    return bound
