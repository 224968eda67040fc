"""Configurations of :mod:`logging` that a user brings along (``--log-config``), also those that were made for uvicorn.

The loggers ``uvicorn``, ``uvicorn.error`` and ``uvicorn.access`` in them mean those of Tricorn, and the formatters of
``uvicorn.logging`` the ones below, so that uvicorn need not be installed.
"""

from __future__ import annotations

import configparser
import copy
import http
import json
import logging
import logging.config
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

from tricorn import logs
from tricorn.errors import UsageError

_HERE: Final = "tricorn.log_config"
_CLASSES: Final = {
    "uvicorn.logging.DefaultFormatter": f"{_HERE}.DefaultFormatter",
    "uvicorn.logging.AccessFormatter": f"{_HERE}.AccessFormatter",
    "uvicorn.logging.ColourizedFormatter": f"{_HERE}.ColourizedFormatter",
}
_STATUS_COLORS: Final = {1: "\033[97m", 2: "\033[32m", 3: "\033[33m", 4: "\033[31m", 5: "\033[91m"}
_RESET: Final = "\033[0m"

Styles = Literal["%", "{", "$"]


class ColourizedFormatter(logging.Formatter):
    """Formats records as uvicorn's class of this name: its formats can have ``%(levelprefix)s``.

    Args:
        fmt: The format, as that of :class:`logging.Formatter`, and so ``datefmt`` and ``style``.
        use_colors: Whether to colour the level; by default on terminals.
        more: What only newer versions of Python give.
    """

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Styles = "%",
        use_colors: bool | None = None,
        **more: Any,
    ) -> None:
        super().__init__(fmt, datefmt, style, **more)
        self.use_colors = self.should_use_colors() if use_colors is None else use_colors

    def should_use_colors(self) -> bool:
        """Tell whether to colour what goes to standard output."""
        return sys.stdout is not None and logs.use_colors(None, sys.stdout)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Add what such formats may have to a copy of the record."""
        record = copy.copy(record)
        plain = logs.Formatter(self.use_colors)
        record.__dict__["levelprefix"] = (
            plain.level(record.levelname, record.levelno)
            .rstrip(" ")
            .ljust(9 + (len(_RESET) + len("\033[32m")) * self.use_colors)
        )
        self.add(record)
        return super().formatMessage(record)

    def add(self, record: logging.LogRecord) -> None:
        """Add more to the record; there is nothing here."""


class DefaultFormatter(ColourizedFormatter):
    """Formats the messages of the server."""

    def should_use_colors(self) -> bool:
        """Tell whether to colour what goes to standard error."""
        return sys.stderr is not None and logs.use_colors(None, sys.stderr)


class AccessFormatter(ColourizedFormatter):
    """Formats requests: ``%(client_addr)s``, ``%(request_line)s``, ``%(status_code)s`` and the parts of these."""

    def add(self, record: logging.LogRecord) -> None:
        """Add what is known of the request."""
        names = ("client_addr", "method", "full_path", "http_version", "status_code")
        values = record.args
        if isinstance(values, tuple) and len(values) == len(names):
            client, method, path, version, status = values
            line = f"{method} {path} HTTP/{version}"
        else:  # a WebSocket's handshake, or a line of the user's format
            client, path = (*values, "-", "-")[:2] if isinstance(values, tuple) else ("-", "-")
            method, version, status = "-", "-", "-"
            line = record.message
        record.__dict__ |= dict(
            zip(names, (client, method, path, version, self._status(status)), strict=True)
        )
        record.__dict__["request_line"] = f"\033[1m{line}{_RESET}" if self.use_colors else line

    def _status(self, status: Any) -> str:
        try:
            text = f"{status} {http.HTTPStatus(status).phrase}"
        except ValueError:
            text = str(status)
        color = _STATUS_COLORS.get(status // 100, "") if isinstance(status, int) and self.use_colors else ""
        return f"{color}{text}{_RESET}" if color else text


def apply(config: Any, use_colors: bool | None = None) -> None:
    """Configure logging.

    Args:
        config: A dictionary for :func:`logging.config.dictConfig`, the path of a file with one (``.json``, ``.yaml``,
            ``.toml``) or of one for :func:`logging.config.fileConfig` (any other name), or a ``ConfigParser`` of that.
        use_colors: Whether uvicorn's formatters colour; ``None`` leaves it to them.

    Raises:
        UsageError: The file cannot be read, or is no such configuration.
    """
    logging.addLevelName(logs.TRACE, "TRACE")
    name = f"the logging configuration {config}" if isinstance(config, str) else "the logging configuration"
    try:
        read = _read(config) if isinstance(config, str) else config
        if isinstance(read, configparser.RawConfigParser):
            logging.config.fileConfig(_renamed_parser(read), disable_existing_loggers=False)
        else:
            logging.config.dictConfig(_renamed(read, use_colors))
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}", "give the path of a file") from None
    except Exception as error:
        raise UsageError(f"{name} is not valid: {_causes(error)}", "docs/logging.md has examples") from None


def _causes(error: BaseException) -> str:
    """Return what an error says and what caused it, on one line: dictConfig only names the place."""
    texts = []
    seen: BaseException | None = error
    while seen is not None:
        missing = f"there is no {seen}" if isinstance(seen, KeyError) else str(seen)
        texts.append(" ".join(missing.split()))
        seen = seen.__cause__
    return ": ".join(text for text in texts if text) or type(error).__name__


def _read(path: str) -> Any:
    """Return what a file holds: a dictionary, or the parser of an ini file."""
    suffix = Path(path).suffix.lower()
    if suffix == ".toml":
        return _checked(tomllib.loads(Path(path).read_text("utf-8")))
    if suffix == ".json":
        return _checked(json.loads(Path(path).read_text("utf-8")))
    if suffix in {".yaml", ".yml"}:
        return _checked(_yaml(path))
    parser = configparser.ConfigParser()
    parser.read_string(Path(path).read_text("utf-8"), path)
    return parser


def _yaml(path: str) -> Any:
    try:
        yaml = import_module("yaml")
    except ImportError:
        raise UsageError(
            f"the logging configuration {path} is YAML, and PyYAML is not installed",
            "install it with 'pip install pyyaml', or write the configuration as JSON or TOML",
        ) from None
    return yaml.safe_load(Path(path).read_text("utf-8"))


def _checked(read: Any) -> dict[str, Any]:
    if not isinstance(read, dict):
        raise ValueError("it is not a mapping")
    return read


def _renamed(config: Any, use_colors: bool | None) -> dict[str, Any]:
    """Return a dictionary's copy with our names for uvicorn's; names of ours that are there, too, win."""
    renamed = dict(_checked(config))
    loggers = renamed.get("loggers")
    if isinstance(loggers, dict):
        meant = {logs.UVICORN[name]: one for name, one in loggers.items() if name in logs.UVICORN}
        renamed["loggers"] = meant | {name: one for name, one in loggers.items() if name not in logs.UVICORN}
    formatters = renamed.get("formatters")
    if isinstance(formatters, dict):
        renamed["formatters"] = {name: _formatter(one, use_colors) for name, one in formatters.items()}
    return renamed


def _formatter(config: Any, use_colors: bool | None) -> Any:
    if not isinstance(config, dict):
        return config
    renamed = {key: _class(value) for key, value in config.items()}
    if use_colors is not None and renamed.get("()") in _CLASSES.values():
        renamed["use_colors"] = use_colors
    return renamed


def _class(value: Any) -> Any:
    return _CLASSES.get(value, value) if isinstance(value, str) else value


def _renamed_parser(config: configparser.RawConfigParser) -> configparser.RawConfigParser:
    """Return an ini file's copy with our names for uvicorn's."""
    renamed = configparser.RawConfigParser()
    for section, values in config.items():
        if section != config.default_section:
            renamed.add_section(section)
        for key in values:
            raw = config.get(section, key, raw=True)
            name = logs.UVICORN.get(raw, raw) if key == "qualname" else _class(raw)
            renamed.set(section, key, name)
    return renamed
