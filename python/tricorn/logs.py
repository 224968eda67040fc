"""Logging: the loggers ``tricorn``, ``tricorn.error`` and ``tricorn.access``, in the look of uvicorn.

Messages go to standard error, requests to standard output. The root logger is never touched.
"""

from __future__ import annotations

import http
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

from tricorn import log_files
from tricorn.config import Config
from tricorn.log_files import reopen as reopen

TRACE: Final = 5
"""The level below DEBUG, for what happens on single connections."""

Client = tuple[str, int | None] | None
"""A client's address: host and port, as far as they are known."""

AccessLogger = Callable[[Client, str, str, str, int], None]
"""Logs one request: client address, method, target, HTTP version and status."""

logger: Final = logging.getLogger("tricorn.error")
"""Where the server writes its own messages."""

LOGGERS: Final = ("tricorn", "tricorn.error", "tricorn.access")

UVICORN: Final = {"uvicorn": "tricorn", "uvicorn.error": "tricorn.error", "uvicorn.access": "tricorn.access"}
"""The loggers of uvicorn, and which of ours each one is."""

_ACCESS_FORMAT: Final = '%s - "%s %s HTTP/%s" %d'
_WEBSOCKET_FORMAT: Final = '%s - "WebSocket %s" %s'
_PHRASES: Final = {int(status): status.phrase for status in http.HTTPStatus}

_RESET: Final = "\033[0m"
_BOLD: Final = "\033[1m"
_LEVEL_COLORS: Final = {
    TRACE: "\033[34m",
    logging.DEBUG: "\033[36m",
    logging.INFO: "\033[32m",
    logging.WARNING: "\033[33m",
    logging.ERROR: "\033[31m",
    logging.CRITICAL: "\033[91m",
}
_STATUS_COLORS: Final = {1: "\033[97m", 2: "\033[32m", 3: "\033[33m", 4: "\033[31m", 5: "\033[91m"}


def enable() -> None:
    """Switch the loggers on again that another configuration of logging has switched off."""
    for name in LOGGERS:
        logging.getLogger(name).disabled = False


def share() -> None:
    """Have the names of uvicorn's loggers mean ours, in a process that is the server's.

    What an application says by them is logged then, and what it does to them is done to ours. A logger of such a name
    that is there already passes its records on.
    """
    known = logging.root.manager.loggerDict
    for theirs, name in UVICORN.items():
        there, ours = known.get(theirs), logging.getLogger(name)
        if not isinstance(there, logging.Logger):
            known[theirs] = ours
        elif there is not ours:
            there.parent = ours


class Formatter(logging.Formatter):
    """Formats a record as ``INFO:     message``.

    Args:
        colors: Whether to colour the level with ANSI sequences.
    """

    def __init__(self, colors: bool = False) -> None:
        super().__init__()
        self.colors = colors

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Put the level, padded to one width, before the record's message."""
        return self.level(record.levelname, record.levelno) + record.message

    def level(self, name: str, number: int) -> str:
        """Return the level's name as the beginning of a line."""
        padding = " " * max(1, 9 - len(name))
        return f"{self._paint(_LEVEL_COLORS.get(number, ''), name)}:{padding}"

    def _paint(self, color: str, text: str) -> str:
        return f"{color}{text}{_RESET}" if self.colors and color else text


class _Line(logging.LogRecord):
    """A request in a format of the user's."""


class AccessFormatter(Formatter):
    """Formats a record of the access log, with the phrase of its status: ``... "GET / HTTP/1.1" 200 OK``."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Put the level before the request; a record of another shape is formatted as any other.

        A line in a format of the user's is complete.
        """
        if isinstance(record, _Line):
            return record.message
        args = record.args
        if record.msg != _ACCESS_FORMAT or not isinstance(args, tuple):
            return super().formatMessage(record)
        client, method, target, version, status = args
        line = self._paint(_BOLD, f"{method} {target} HTTP/{version}")
        return f'{self.level(record.levelname, record.levelno)}{client} - "{line}" {self._status(status)}'

    def _status(self, status: Any) -> str:
        text = f"{status} {_PHRASES.get(status, '')}".rstrip()
        return self._paint(_STATUS_COLORS.get(status // 100, ""), text)


def configure(config: Config) -> None:
    """Set up the three loggers for ``config``; a second call replaces what the first one set up.

    Not through ``dictConfig``, which closes every handler of the process: the application's too.
    """
    logging.addLevelName(TRACE, "TRACE")
    level = logging.getLevelNamesMapping()[config.log_level.upper()]
    error = _handler(config.log_file, sys.stderr, Formatter, config)
    access = _handler(config.access_log_file, sys.stdout, AccessFormatter, config)
    _set_up("tricorn", level, error)
    _set_up("tricorn.error", level, None)
    _set_up("tricorn.access", level, access)


def set_level(name: str) -> None:
    """Set the level of the three loggers, by its name in lower case."""
    level = logging.getLevelNamesMapping()[name.upper()]
    for logger_name in LOGGERS:
        logging.getLogger(logger_name).setLevel(level)


def access_logger(config: Config) -> AccessLogger | None:
    """Return the function that logs a request, or ``None`` when nobody would see the line.

    It takes the client's address, the method, the target as it was sent (percent-encoded), the HTTP version
    such as ``"1.1"``, and the status.
    """
    access = _access_to_log(config)
    if access is None:
        return None

    def log(client: Client, method: str, target: str, version: str, status: int) -> None:
        # A record made by hand: Logger.info would spend its time on finding the caller's file and line.
        text: str = _ACCESS_FORMAT
        args: tuple[Any, ...] = (client_text(client), method, target, version, status)
        if method == "WebSocket":
            text, args = _WEBSOCKET_FORMAT, (client_text(client), target, _handshake(status))
        access.handle(access.makeRecord(access.name, logging.INFO, "", 0, text, args, None))

    return log


def line_logger(config: Config) -> Callable[[str], None] | None:
    """Return the function that logs a request's finished line, or ``None`` when nobody would see it."""
    access = _access_to_log(config)
    if access is None:
        return None

    def log(line: str) -> None:
        access.handle(_Line(access.name, logging.INFO, "", 0, line, None, None))

    return log


def _access_to_log(config: Config) -> logging.Logger | None:
    """Return the logger of requests, or ``None`` when nobody would see what it is given."""
    access = logging.getLogger("tricorn.access")
    if not config.access_log or not access.isEnabledFor(logging.INFO) or not _is_seen(access):
        return None
    return access


def _is_seen(logger: logging.Logger | None) -> bool:
    """Tell whether a handler gets what a logger is given; where a stream is closed there is one that does nothing."""
    while logger is not None:
        if any(type(handler) is not logging.NullHandler for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _handshake(status: int) -> str:
    """Return how the log shows the outcome of a WebSocket's handshake."""
    return "[accepted]" if status == http.HTTPStatus.SWITCHING_PROTOCOLS else str(status)


def client_text(client: Client) -> str:
    """Return a client's address as the log shows it: ``host:port``, IPv6 in brackets, ``-`` if unknown."""
    if client is None or not client[0]:
        return "-"
    host, port = client
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def use_colors(setting: bool | None, stream: TextIO) -> bool:
    """Decide whether to colour what goes to ``stream``: as set, else on terminals unless NO_COLOR is set."""
    if setting is not None:
        return setting
    return not os.environ.get("NO_COLOR") and stream.isatty()


def _handler(path: str, stream: TextIO | None, formatter: type[Formatter], config: Config) -> logging.Handler:
    """Return a handler for a file, or for a standard stream, which may be closed; raise :exc:`StartupError`."""
    if path != "-":
        handler: logging.Handler = log_files.FileHandler(log_files.LogFile(path))
        handler.setFormatter(formatter(bool(config.use_colors)))
    elif stream is None:
        handler = logging.NullHandler()
        handler.setFormatter(formatter())
    else:
        handler = log_files.StreamHandler(stream)
        handler.setFormatter(formatter(use_colors(config.use_colors, stream)))
    return handler


def _set_up(name: str, level: int, handler: logging.Handler | None) -> None:
    """Give a logger its level and handler; one without a handler passes its records on to ``tricorn``."""
    target = logging.getLogger(name)
    target.setLevel(level)
    for old in [old for old in target.handlers if isinstance(old.formatter, Formatter)]:
        target.removeHandler(old)
        if isinstance(old, (log_files.FileHandler, log_files.StreamHandler)):
            old.close()
    if handler is not None:
        target.addHandler(handler)
        target.propagate = False
