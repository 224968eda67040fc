"""Configurations of logging that a user brings along, in each form, those for uvicorn included."""

from __future__ import annotations

import configparser
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn.config

from tricorn import log_config, logs
from tricorn.config import Config
from tricorn.errors import UsageError

NAMES = ("tricorn", "tricorn.error", "tricorn.access")

INI = """
[loggers]
keys=root,errors,requests
[handlers]
keys=out
[formatters]
keys=plain,access
[logger_root]
level=INFO
handlers=
[logger_errors]
level=INFO
handlers=out
qualname=uvicorn.error
propagate=0
[logger_requests]
level=INFO
handlers=out
qualname=uvicorn.access
propagate=0
[handler_out]
class=StreamHandler
formatter=access
args=(sys.stdout,)
[formatter_plain]
format=%(message)s
[formatter_access]
class=uvicorn.logging.AccessFormatter
format=%(client_addr)s %(request_line)s %(status_code)s
"""

YAML = """
version: 1
disable_existing_loggers: false
formatters:
  access:
    (): uvicorn.logging.AccessFormatter
    fmt: '%(client_addr)s %(request_line)s %(status_code)s'
    use_colors: false
handlers:
  out: {class: logging.StreamHandler, formatter: access, stream: ext://sys.stdout}
loggers:
  uvicorn.access: {handlers: [out], level: INFO, propagate: false}
"""

TOML = """
version = 1
disable_existing_loggers = false
[formatters.access]
"()" = "uvicorn.logging.AccessFormatter"
fmt = "%(client_addr)s %(request_line)s %(status_code)s"
use_colors = false
[handlers.out]
class = "logging.StreamHandler"
formatter = "access"
stream = "ext://sys.stdout"
[loggers."uvicorn.access"]
handlers = ["out"]
level = "INFO"
propagate = false
"""

DICT: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "access": {
            "()": "uvicorn.logging.AccessFormatter",
            "fmt": "%(client_addr)s %(request_line)s %(status_code)s",
            "use_colors": False,
        }
    },
    "handlers": {
        "out": {"class": "logging.StreamHandler", "formatter": "access", "stream": "ext://sys.stdout"}
    },
    "loggers": {"uvicorn.access": {"handlers": ["out"], "level": "INFO", "propagate": False}},
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An application that is never called here."""


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Leave the loggers as they were."""
    every = [logging.getLogger(), *map(logging.getLogger, NAMES)]
    saved = [(logger, vars(logger).copy(), list(logger.handlers)) for logger in every]
    yield
    for logger, state, handlers in saved:
        logger.handlers = handlers
        logger.propagate = state["propagate"]
        logger.disabled = state["disabled"]
        logger.setLevel(state["level"])


def log_one(capsys: pytest.CaptureFixture[str], config: Config) -> str:
    """Log one request and return what is printed."""
    config.configure_logging()
    log = logs.access_logger(config)
    assert log is not None
    log(("127.0.0.1", 5), "GET", "/a?b", "1.1", 404)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text"),
    [("log.ini", INI), ("log.conf", INI), ("log.yaml", YAML), ("log.yml", YAML), ("log.toml", TOML)],
)
def test_files(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, text: str) -> None:
    """Each form, with uvicorn's names for the loggers and formatters."""
    (tmp_path / name).write_text(text)
    line = log_one(capsys, Config(app, log_config=str(tmp_path / name)))
    assert line == "127.0.0.1:5 GET /a?b HTTP/1.1 404 Not Found\n"


def test_json_and_dict(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps(DICT))
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(INI)
    for given in (str(tmp_path / "log.json"), DICT, parser):
        line = log_one(capsys, Config(app, log_config=given))
        assert line == "127.0.0.1:5 GET /a?b HTTP/1.1 404 Not Found\n"
    assert "uvicorn.access" in DICT["loggers"]  # the caller's own is left as it was


def test_uvicorns_own_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    """It gives uvicorn's lines, in its colours where they are asked for."""
    config = Config(app, log_config=uvicorn.config.LOGGING_CONFIG, use_colors=False)
    assert log_one(capsys, config) == 'INFO:     127.0.0.1:5 - "GET /a?b HTTP/1.1" 404 Not Found\n'
    logging.getLogger("tricorn.error").warning("odd")
    assert capsys.readouterr().err == "WARNING:  odd\n"
    config = Config(app, log_config=uvicorn.config.LOGGING_CONFIG, use_colors=True)
    line = '\033[32mINFO\033[0m:     127.0.0.1:5 - "\033[1mGET /a?b HTTP/1.1\033[0m" \033[31m404 Not Found\033[0m\n'
    assert log_one(capsys, config) == line


def test_other_records_of_requests(capsys: pytest.CaptureFixture[str]) -> None:
    """A WebSocket's handshake, a line of the user's format, and a status without a phrase."""
    config = Config(app, log_config=DICT)
    config.configure_logging()
    log, line = logs.access_logger(config), logs.line_logger(config)
    assert log is not None and line is not None
    log(("127.0.0.1", 5), "WebSocket", "/ws", "1.1", 101)
    log(None, "GET", "/", "1.1", 299)
    line("100% own")
    out = capsys.readouterr().out.splitlines()
    assert out == [
        '127.0.0.1:5 127.0.0.1:5 - "WebSocket /ws" [accepted] -',
        "- GET / HTTP/1.1 299",
        "- 100% own -",
    ]


def test_our_names_win(capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads(json.dumps(DICT))
    config["formatters"]["mine"] = {"format": "mine %(message)s"}
    config["handlers"]["mine"] = {
        "class": "logging.StreamHandler",
        "formatter": "mine",
        "stream": "ext://sys.stdout",
    }
    config["loggers"]["tricorn.access"] = {"handlers": ["mine"], "level": "INFO", "propagate": False}
    assert log_one(capsys, Config(app, log_config=config)).startswith("mine ")


def test_level_that_was_asked_for_wins() -> None:
    Config(app, log_config=DICT, log_level="warning").configure_logging()
    assert [logging.getLogger(name).level for name in NAMES] == [logging.WARNING] * 3
    assert logs.access_logger(Config(app, log_config=DICT)) is None


def test_loggers_that_are_not_named_stay_on() -> None:
    """``disable_existing_loggers``, which is on unless it is said otherwise, is not for the server's."""
    Config(app, log_config={"version": 1}).configure_logging()
    assert not any(logging.getLogger(name).disabled for name in NAMES)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("log.json", "{", "is not valid: Expecting property name"),
        ("log.json", "[]", "is not valid: it is not a mapping"),
        ("log.yaml", "a: [", "is not valid: "),
        ("log.toml", "a", "is not valid: "),
        ("log.ini", "[x", "is not valid: "),
        ("log.ini", "[x]", "is not valid: there is no 'formatters'"),
        ("log.json", '{"version": 2}', "is not valid: Unsupported version: 2"),
        (
            "log.json",
            '{"version": 1, "handlers": {"a": {"class": "no.Such"}}}',
            "is not valid: Unable to configure handler 'a': ",
        ),
        ("missing.json", None, "cannot be read: No such file"),
        ("missing.ini", None, "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, name: str, text: str | None, problem: str) -> None:
    """In one line."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        Config(app, log_config=str(tmp_path / name)).configure_logging()
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_yaml_without_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log.yaml").write_text(YAML)
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(
        UsageError, match=r"PyYAML is not installed; install it with 'pip install pyyaml', or"
    ):
        Config(app, log_config=str(tmp_path / "log.yaml")).configure_logging()


@pytest.mark.parametrize("value", [1, b"x", [], ""])
def test_wrong_types(value: Any) -> None:
    with pytest.raises(UsageError, match="log_config must be"):
        Config(app, log_config=value)


def test_contradiction() -> None:
    for option in ("log_file", "access_log_file"):
        with pytest.raises(UsageError, match="--log-config says where logs go"):
            Config(app, log_config=DICT, **{option: "x"})


class Terminal:
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_colours_of_formatters(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default as their stream is a terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "text", None, None)
    for terminal, prefix in ("stderr", log_config.DefaultFormatter), ("stdout", log_config.AccessFormatter):
        plain = prefix("%(levelprefix)s %(message)s")
        assert plain.format(record) == "ERROR:    text"
        with monkeypatch.context() as patch:
            patch.setattr(sys, terminal, Terminal())
            assert prefix("%(levelprefix)s %(message)s").format(record) == "\033[31mERROR\033[0m:    text"
            patch.setattr(sys, terminal, None)
            assert not prefix().use_colors
