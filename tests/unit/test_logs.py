"""The log: its look, where it goes, and when nothing is logged at all."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tricorn import logs
from tricorn.config import Config

NAMES = ("tricorn", "tricorn.error", "tricorn.access")


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An application that is never called here."""


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Leave the loggers as they were."""
    saved = [(logging.getLogger(name), vars(logging.getLogger(name)).copy()) for name in NAMES]
    for logger, _ in saved:
        logger.handlers = []
        logger.propagate = True
    yield
    for logger, state in saved:
        logger.handlers = state["handlers"]
        logger.propagate = state["propagate"]
        logger.setLevel(state["level"])


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def record(level: int, message: str, *args: Any, name: str = "tricorn.error") -> logging.LogRecord:
    """Return a record as a logger makes it."""
    return logging.LogRecord(name, level, "", 0, message, args, None)


def request(status: int = 200, target: str = "/path?query") -> logging.LogRecord:
    """Return a record of the access log."""
    args = ("127.0.0.1:53214", "GET", target, "1.1", status)
    return record(logging.INFO, '%s - "%s %s HTTP/%s" %d', *args, name="tricorn.access")


@pytest.mark.parametrize(
    ("level", "line"),
    [
        (logging.INFO, "INFO:     started"),
        (logging.DEBUG, "DEBUG:    started"),
        (logging.ERROR, "ERROR:    started"),
        (logging.WARNING, "WARNING:  started"),
        (logging.CRITICAL, "CRITICAL: started"),
    ],
)
def test_line(level: int, line: str) -> None:
    assert logs.Formatter().format(record(level, "%s", "started")) == line


def test_line_of_trace() -> None:
    logs.configure(Config(app))
    assert logs.Formatter().format(record(logs.TRACE, "read")) == "TRACE:    read"


def test_line_in_colour() -> None:
    line = logs.Formatter(colors=True).format(record(logging.ERROR, "no"))
    assert line == "\033[31mERROR\033[0m:    no"


def test_long_level_keeps_a_space() -> None:
    assert logs.Formatter().level("EXTRAORDINARY", 35) == "EXTRAORDINARY: "


def test_traceback_follows_the_line() -> None:
    try:
        raise OSError("broken")
    except OSError as error:
        failed = record(logging.ERROR, "failed")
        failed.exc_info = (type(error), error, error.__traceback__)
    lines = logs.Formatter().format(failed).splitlines()
    assert lines[0] == "ERROR:    failed"
    assert lines[-1] == "OSError: broken"


@pytest.mark.parametrize(
    ("status", "end"),
    [(200, "200 OK"), (404, "404 Not Found"), (599, "599"), (101, "101 Switching Protocols")],
)
def test_access_line(status: int, end: str) -> None:
    line = logs.AccessFormatter().format(request(status))
    assert line == f'INFO:     127.0.0.1:53214 - "GET /path?query HTTP/1.1" {end}'


@pytest.mark.parametrize(
    ("status", "color"), [(200, "32"), (302, "33"), (404, "31"), (500, "91"), (101, "97")]
)
def test_access_line_in_colour(status: int, color: str) -> None:
    line = logs.AccessFormatter(colors=True).format(request(status))
    assert '"\033[1mGET /path?query HTTP/1.1\033[0m"' in line
    assert f"\033[{color}m{status}" in line


def test_access_formatter_takes_other_records() -> None:
    other = record(logging.INFO, "hello %s", "you", name="tricorn.access")
    assert logs.AccessFormatter().format(other) == "INFO:     hello you"


def test_access_record_is_plain_for_other_formatters() -> None:
    assert request(404).getMessage() == '127.0.0.1:53214 - "GET /path?query HTTP/1.1" 404'


def test_streams(capsys: pytest.CaptureFixture[str]) -> None:
    config = Config(app)
    logs.configure(config)
    log = logs.access_logger(config)
    assert log is not None
    log(("127.0.0.1", 5), "GET", "/%20?a=1", "1.0", 200)
    logging.getLogger("tricorn").info("started")
    logging.getLogger("tricorn.error").warning("odd")
    captured = capsys.readouterr()
    assert captured.out == 'INFO:     127.0.0.1:5 - "GET /%20?a=1 HTTP/1.0" 200 OK\n'
    assert captured.err == "INFO:     started\nWARNING:  odd\n"


def test_second_configuration_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Config(app))
    logs.configure(Config(app))
    logging.getLogger("tricorn.error").info("once")
    assert capsys.readouterr().err == "INFO:     once\n"


def test_handlers_of_others_stay() -> None:
    own = logging.NullHandler()
    logging.getLogger("tricorn").addHandler(own)
    logs.configure(Config(app))
    logs.configure(Config(app))
    assert own in logging.getLogger("tricorn").handlers
    assert len(logging.getLogger("tricorn").handlers) == 2


def test_root_and_other_handlers_are_left_alone() -> None:
    closed: list[str] = []

    class Handler(logging.Handler):
        def close(self) -> None:
            closed.append("closed")
            super().close()

    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    handler = Handler()
    logging.getLogger("someone.else").addHandler(handler)
    logs.configure(Config(app, log_level="debug"))
    assert (root.level, list(root.handlers)) == before
    assert closed == []
    logging.getLogger("someone.else").removeHandler(handler)


@pytest.mark.parametrize(
    ("name", "level"),
    [("critical", 50), ("error", 40), ("warning", 30), ("info", 20), ("debug", 10), ("trace", 5)],
)
def test_level(name: str, level: int) -> None:
    logs.configure(Config(app, log_level=name))
    assert [logging.getLogger(each).level for each in NAMES] == [level] * 3
    assert logging.getLevelName(5) == "TRACE"


@pytest.mark.parametrize(
    ("options", "logged"),
    [
        ({}, True),
        ({"log_level": "trace"}, True),
        ({"access_log": False}, False),
        ({"log_level": "warning"}, False),
        ({"log_level": "critical"}, False),
    ],
)
def test_access_logger_is_none_when_off(options: dict[str, Any], logged: bool) -> None:
    config = Config(app, **options)
    logs.configure(config)
    assert (logs.access_logger(config) is not None) is logged


def test_access_logger_is_none_without_a_handler() -> None:
    logger = logging.getLogger("tricorn.access")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    assert logs.access_logger(Config(app)) is None


def test_filters_apply(capsys: pytest.CaptureFixture[str]) -> None:
    config = Config(app)
    logs.configure(config)
    log = logs.access_logger(config)
    assert log is not None

    def drop_health(record: logging.LogRecord) -> bool:
        return "/health" not in record.getMessage()

    logger = logging.getLogger("tricorn.access")
    logger.addFilter(drop_health)
    try:
        log(None, "GET", "/health", "1.1", 200)
        log(None, "GET", "/", "1.1", 204)
    finally:
        logger.removeFilter(drop_health)
    assert capsys.readouterr().out == 'INFO:     - - "GET / HTTP/1.1" 204 No Content\n'


@pytest.mark.parametrize(
    ("client", "text"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80), "[::1]:80"),
        (("/tmp/socket", None), "/tmp/socket"),
        (("", None), "-"),
        (None, "-"),
    ],
)
def test_client(client: Any, text: str) -> None:
    assert logs.client_text(client) == text


@pytest.mark.parametrize(
    ("setting", "stream", "no_color", "colors"),
    [
        (None, Terminal(), "", True),
        (None, Terminal(), "1", False),
        (None, io.StringIO(), "", False),
        (True, io.StringIO(), "1", True),
        (False, Terminal(), "", False),
    ],
)
def test_colours(
    monkeypatch: pytest.MonkeyPatch, setting: bool | None, stream: Any, no_color: str, colors: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    assert logs.use_colors(setting, stream) is colors
