"""The command: what each option becomes, the help, the exit codes, and one line for every error."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import tricorn
from tricorn import cli, systemd, versions
from tricorn.config import Config
from tricorn.errors import StartupError, UsageError
from tricorn.option import Bind, Option
from tricorn.options import COMMON, OPTIONS

Invoke = Callable[..., Result]


class FakeServer(types.ModuleType):
    """Stands for whichever module serves: notes the configuration, and ends as the test says."""

    def __init__(self) -> None:
        super().__init__("tricorn.server")
        self.config: Config | None = None
        self.outcome: int | BaseException = 0
        self.ends_process = False

    def probe(self, config: Config) -> str:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return "ASGI 3 on trio"

    def run(self, config: Config, *, ends_process: bool) -> int:
        self.config = config
        self.ends_process = ends_process
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeServer]:
    """Put a fake server in place, and take away the log handlers that the command makes."""
    fake = FakeServer()
    for module in ("server", "supervisor", "reloader"):
        monkeypatch.setitem(sys.modules, f"tricorn.{module}", fake)
    for name in [name for name in os.environ if name.startswith(("TRICORN_", "UVICORN_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    loggers = [logging.getLogger(name) for name in ("tricorn", "tricorn.error", "tricorn.access")]
    saved = [(logger, logger.level, list(logger.handlers), logger.propagate) for logger in loggers]
    yield fake
    for logger, level, handlers, propagate in saved:
        logger.setLevel(level)
        logger.handlers = handlers
        logger.propagate = propagate


@pytest.fixture
def invoke(server: FakeServer) -> Invoke:
    """Return a function that runs the command with arguments and environment variables."""

    def run(*args: str, **env: str) -> Result:
        return CliRunner().invoke(cli.build(), list(args), prog_name="tricorn", env=env)

    return run


def config_of(result: Result, server: FakeServer) -> Config:
    """Return the configuration of a run that succeeded."""
    assert (result.exit_code, result.output) == (0, "")
    assert server.config is not None
    return server.config


def error_of(result: Result, code: int) -> str:
    """Return the one line that a run failed with."""
    assert result.exit_code == code, result.output
    line = result.output
    assert line.startswith("ERROR:    ")
    assert line.count("\n") == 1
    assert line.endswith("\n")
    return line.removeprefix("ERROR:    ").rstrip()


def example(option: Option) -> tuple[str, Any]:
    """Return a text other than the default for an option, and the value that it means."""
    texts = {
        "host": "::1",
        "bind": "[::1]:80",
        "pid-file": "server.pid",
        "workers": "7",
        "uds-mode": "600",
        "header": "X-A:b",
        "root-path": "/api",
        "env-file": "/dev/null",
        "forwarded-allow-ips": "10.0.0.0/8,unix",
        "forwarded-fields": "forwarded",
        "forwarded-hops": "2",
        "health-path": "/healthz",
        "ready-path": "/readyz",
        "log-file": os.devnull,
        "log-config": str(Path(__file__).with_name("programs") / "logging.toml"),
        "access-log-file": os.devnull,
        "access-log-format": "json",
        "access-log-exclude": "/healthz",
        "async-library": "trio",
        "http": "h11",
        "ws": "none",
        "ws-shutdown-code": "1001",
        "h2-connection-window-size": "1000000",
        "h2-max-frame-size": "20000",
        "ssl-version": "5",
        "ssl-cert-reqs": "1",
        "ws-deflate-level": "9",
        "ws-deflate-mem-level": "8",
        "ws-deflate-window-bits": "15",
    }
    if option.name in texts:
        text = texts[option.name]
    elif option.choices:
        text = next(choice for choice in option.choices if choice != option.default)
    else:
        text = {"integer": "5000", "seconds": "1.5", "text": "some/where"}[option.kind]
    value = option.parse(text)
    return text, (value,) if option.multiple else value


VALUED = [option for option in OPTIONS if option.kind != "flag"]
NEEDS = {
    "uds-mode": ["--uds", "socket"],
    "ready-max-lag": ["--ready-path", "/r"],
    "ssl-keyfile": ["--ssl-certfile", "certificate.pem"],
    "ssl-sni-cert": ["--ssl-certfile", "certificate.pem"],
    "ssl-cert-dir": ["--ssl-certfile", "certificate.pem"],
    "ssl-ca-certs": ["--ssl-certfile", "certificate.pem"],
    "ssl-cert-reqs": ["--ssl-certfile", "certificate.pem", "--ssl-ca-certs", "ca.pem"],
    "ssl-crl": ["--ssl-certfile", "certificate.pem", "--ssl-ca-certs", "ca.pem", "--ssl-cert-reqs", "2"],
    "ssl-cert-errors": [
        "--ssl-certfile",
        "certificate.pem",
        "--ssl-ca-certs",
        "ca.pem",
        "--ssl-cert-reqs",
        "1",
    ],
}


def test_defaults(invoke: Invoke, server: FakeServer) -> None:
    assert config_of(invoke("main:app"), server) == Config("main:app")


@pytest.mark.parametrize("option", VALUED, ids=lambda option: option.name)
def test_option(invoke: Invoke, server: FakeServer, option: Option) -> None:
    text, value = example(option)
    config = config_of(invoke("main:app", f"--{option.name}", text, *NEEDS.get(option.name, [])), server)
    assert getattr(config, option.attribute) == value
    assert value != option.default


@pytest.mark.parametrize("option", VALUED, ids=lambda option: option.name)
def test_option_from_the_environment(invoke: Invoke, server: FakeServer, option: Option) -> None:
    text, value = example(option)
    config = config_of(invoke("main:app", *NEEDS.get(option.name, []), **{option.env: text}), server)
    assert getattr(config, option.attribute) == value


@pytest.mark.parametrize("option", [row for row in OPTIONS if row.negative], ids=lambda option: option.name)
def test_flag_with_two_forms(invoke: Invoke, server: FakeServer, option: Option) -> None:
    for argument, value in ((f"--{option.name}", True), (f"--no-{option.name}", False)):
        assert getattr(config_of(invoke("main:app", argument), server), option.attribute) is value
    for text, value in (("1", True), ("true", True), ("0", False), ("off", False)):
        config = config_of(invoke("main:app", **{option.env: text}), server)
        assert getattr(config, option.attribute) is value


@pytest.mark.parametrize("word", ["true", "True", "1", "yes", "on", "false", "FALSE", "0", "no", "off"])
def test_flag_with_a_word_as_uvicorn_has_it(invoke: Invoke, server: FakeServer, word: str) -> None:
    wanted = word.lower() in {"true", "1", "yes", "on"}
    for args in (["--ws-per-message-deflate", word], [f"--ws-per-message-deflate={word}"]):
        for line in (["main:app", *args], [*args, "main:app"]):
            config = config_of(invoke(*line), server)
            assert (config.app, config.ws_per_message_deflate) == ("main:app", wanted)


def test_flag_takes_no_other_word(invoke: Invoke, server: FakeServer) -> None:
    """What follows it stays what it is; the last flag counts."""
    for line in (
        ["--ws-per-message-deflate", "main:app"],
        ["--no-ws-per-message-deflate", "--ws-per-message-deflate", "main:app"],
        ["--ws-per-message-deflate", "false", "--ws-per-message-deflate", "--", "main:app"],
    ):
        assert config_of(invoke(*line), server).ws_per_message_deflate is True
    assert config_of(invoke("--no-ws-per-message-deflate", "--", "true:app"), server).app == "true:app"


def test_factory(invoke: Invoke, server: FakeServer) -> None:
    assert config_of(invoke("main:make", "--factory"), server).factory is True
    assert config_of(invoke("main:make", TRICORN_FACTORY="1"), server).factory is True


def test_application_from_the_environment(invoke: Invoke, server: FakeServer) -> None:
    assert config_of(invoke(TRICORN_APP="main:app"), server).app == "main:app"


def test_command_line_beats_the_environment(invoke: Invoke, server: FakeServer) -> None:
    config = config_of(invoke("main:app", "--port", "1", TRICORN_PORT="2", TRICORN_APP="other:app"), server)
    assert (config.app, config.port) == ("main:app", 1)


def test_command_line_beats_the_environments_other_word_for_it(invoke: Invoke, server: FakeServer) -> None:
    assert (
        config_of(invoke("main:app", "--async-library", "asyncio", TRICORN_LOOP="trio"), server).library
        == "asyncio"
    )
    assert config_of(invoke("main:app", "--fd", "3", TRICORN_UDS="/tmp/s"), server).uds is None


def test_a_more_direct_address_takes_the_place_of_another(invoke: Invoke, server: FakeServer) -> None:
    """The command line before our own variables, these before uvicorn's, these before the file."""
    config = config_of(invoke("main:app", "-b", ":1", TRICORN_UDS="/tmp/s", UVICORN_PORT="5"), server)
    assert config.addresses == [Bind("", 1)]
    config = config_of(invoke("main:app", TRICORN_BIND=":1\n:2", UVICORN_HOST="::1"), server)
    assert config.addresses == [Bind("", 1), Bind("", 2)]
    Path("tricorn.toml").write_text('uds = "s"\nuds-mode = 0o600\n')
    assert config_of(invoke("main:app", UVICORN_PORT="5"), server).addresses == [Bind("127.0.0.1", 5)]
    assert config_of(invoke("main:app"), server).addresses == [Bind(path="s")]
    assert config_of(invoke("main:app", "--uds-mode", "640"), server).uds_mode == 0o640


def test_variables_of_uvicorn(invoke: Invoke, server: FakeServer) -> None:
    """Are asked after our own; where one may have several values, it is split as uvicorn does."""
    config = config_of(
        invoke(UVICORN_APP="main:app", UVICORN_PORT="1", UVICORN_HEADER="X-A:b X-C:d", UVICORN_FACTORY="1"),
        server,
    )
    assert (config.app, config.port, config.header, config.factory) == (
        "main:app",
        1,
        ("X-A:b", "X-C:d"),
        True,
    )
    config = config_of(invoke("main:app", TRICORN_PORT="2", UVICORN_PORT="1"), server)
    assert config.port == 2
    assert config_of(invoke("main:app", TRICORN_PORT="", UVICORN_PORT="1"), server).port == 1
    config = config_of(invoke("main:app", UVICORN_H11_MAX_INCOMPLETE_EVENT_SIZE="9000"), server)
    assert config.limit_request_head == 9000
    assert config_of(invoke("main:app", UVICORN_BIND=":1"), server).bind == ()


def test_bad_value_of_uvicorns_variable(invoke: Invoke) -> None:
    line = error_of(invoke("main:app", UVICORN_PORT="http"), 2)
    assert line.startswith("Invalid value for the environment variable UVICORN_PORT: must be a whole number")


@pytest.mark.parametrize(
    "args",
    [["--ssl-version", "17"], ["--ssl-cert-reqs", "0"], ["--ssl-ciphers", "TLSv1"]],
)
def test_options_of_uvicorn_that_ask_for_nothing(invoke: Invoke, server: FakeServer, args: list[str]) -> None:
    assert config_of(invoke("main:app", *args), server) == Config("main:app")


def test_config_file(invoke: Invoke, server: FakeServer) -> None:
    """The command line counts before the environment, and that before the file."""
    Path("tricorn.toml").write_text(
        'app = "main:app"\nport = 1\nlog-level = "debug"\naccess-log = false\nheader = ["a:b"]\ntimeout-write = 3\n'
    )
    config = config_of(invoke("--log-level", "error", TRICORN_ACCESS_LOG="1"), server)
    assert (config.app, config.port, config.log_level, config.access_log) == ("main:app", 1, "error", True)
    assert (config.header, config.timeout_write) == (("a:b",), 3.0)
    assert config_of(invoke("other:app", "--header", "c:d"), server).header == ("c:d",)
    Path("other.toml").write_text("port = 2\n")
    for args in (["-c", "other.toml"], ["--config", "other.toml"], ["--config=other.toml"]):
        assert config_of(invoke("main:app", *args), server).port == 2
    assert config_of(invoke("main:app", TRICORN_CONFIG="other.toml"), server).port == 2


def test_bad_config_file(invoke: Invoke, server: FakeServer) -> None:
    Path("tricorn.toml").write_text("prot = 1\n")
    assert error_of(invoke("main:app"), 2) == "tricorn.toml: there is no option 'prot'; did you mean 'port'?"
    assert invoke("--help").exit_code == 0


def test_print_config(invoke: Invoke, server: FakeServer) -> None:
    """What it prints is a file that means the same, and tells where values come from."""
    Path("tricorn.toml").write_text('app = "main:app"\nlimit-drain = 5\n')
    result = invoke("--print-config", "--port", "1", TRICORN_HOST="::1", UVICORN_ROOT_PATH="/api")
    assert result.exit_code == 0
    for line in (
        'app = "main:app"  # tricorn.toml',
        "port = 1  # command line",
        'host = "::1"  # environment TRICORN_HOST',
        'root-path = "/api"  # environment UVICORN_ROOT_PATH',
        "limit-drain = 5  # tricorn.toml",
        "backlog = 2048  # default",
        "# fd: none",
    ):
        assert line in result.output.splitlines()
    assert server.config is None
    Path("tricorn.toml").unlink()
    Path("printed.toml").write_text(result.output)
    config = config_of(invoke("-c", "printed.toml"), server)
    assert config == Config("main:app", host="::1", port=1, root_path="/api", limit_drain=5)


def test_print_config_keeps_secrets(invoke: Invoke) -> None:
    """What is printed is pasted, and logged by continuous integration."""
    output = invoke(
        "--print-config", "--ssl-certfile", "c.pem", TRICORN_SSL_KEYFILE_PASSWORD="hunter2"
    ).output
    shown = "# ssl-keyfile-password: given, and not shown  # environment TRICORN_SSL_KEYFILE_PASSWORD"
    assert shown in output.splitlines()
    assert "hunter2" not in output
    assert "hunter2" not in repr(Config("main:app", ssl_certfile="c.pem", ssl_keyfile_password="hunter2"))
    assert "# ssl-keyfile-password: none" in invoke("--print-config").output.splitlines()


def test_print_config_needs_no_application(invoke: Invoke) -> None:
    result = invoke("--print-config", "-b", ":1")
    assert result.exit_code == 0
    assert "# app: none" in result.output
    assert "# port: not used" in result.output and 'bind = [":1"]' in result.output


def test_check_config(invoke: Invoke, server: FakeServer) -> None:
    result = invoke("--check-config", "main:app", "-b", "[::1]:1", "-b", "unix:a")
    assert result.output == (
        "The configuration is good: main:app is an application of ASGI 3 on trio, for [::1]:1, unix:a\n"
    )
    assert (result.exit_code, server.config) == (0, None)
    server.outcome = StartupError("the application cannot be imported", "install it")
    assert error_of(invoke("--check-config", "main:app"), 3).startswith("the application cannot")
    assert "--uds and --fd" in error_of(invoke("--check-config", "main:app", "--uds", "a", "--fd", "1"), 2)


def test_sockets_from_systemd(invoke: Invoke, server: FakeServer) -> None:
    """Are listened on unless the command line says otherwise; a process that they are not for has none."""
    passed = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "UVICORN_PORT": "5", "TRICORN_UDS": "s"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systemd, "_bind", lambda fd, label: f"fd://{fd}")
        config = config_of(invoke("main:app", TRICORN_UDS_MODE="600", **passed), server)
        assert config.addresses == [Bind(fd=3)]
        assert 'bind = ["fd://3"]  # systemd' in invoke("--print-config", **passed).output
    assert config_of(invoke("main:app", "-b", ":1", **passed), server).addresses == [Bind("", 1)]
    assert config_of(invoke("main:app", **(passed | {"LISTEN_PID": "1"})), server).addresses == [
        Bind(path="s")
    ]


@pytest.mark.parametrize("shell", cli.SHELLS)
def test_completion_script(invoke: Invoke, shell: str) -> None:
    result = invoke("--completion", shell)
    assert result.exit_code == 0
    assert f"_TRICORN_COMPLETE={shell}_complete" in result.output


def complete(words: str) -> list[str]:
    """Return what bash is given to complete the last of these words."""
    env = {"_TRICORN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    return CliRunner().invoke(cli.build(), [], prog_name="tricorn", env=env).output.splitlines()


def test_completion() -> None:
    """Options, choices, files and directories."""
    assert complete("tricorn --async-lib") == ["plain,--async-library"]
    assert complete("tricorn main:app --lifespan o") == ["plain,on", "plain,off"]
    assert complete("tricorn --uds so") == ["file,so"]
    assert complete("tricorn --app-dir ") == ["dir,"]
    assert complete("tricorn --ssl-ca") == ["plain,--ssl-ca-certs"]


def test_several_fields(invoke: Invoke, server: FakeServer) -> None:
    config = config_of(invoke("main:app", "--header", "X-A: b", "--header", "X-C:d"), server)
    assert config.header == ("X-A: b", "X-C:d")


def test_several_fields_from_the_environment(invoke: Invoke, server: FakeServer) -> None:
    config = config_of(invoke("main:app", TRICORN_HEADER="X-A:b\nX-C: d e"), server)
    assert config.header == ("X-A:b", "X-C: d e")
    config = config_of(invoke("main:app", TRICORN_HEADER="X-A:b\n\nX-C: d e\n"), server)
    assert config.header == ("X-A:b", "X-C: d e"), "a block of YAML ends with a line break"


def test_uvicorns_name_for_the_head(invoke: Invoke, server: FakeServer) -> None:
    config = config_of(invoke("main:app", "--h11-max-incomplete-event-size", "9000"), server)
    assert config.limits["head"] == 9000


def test_loop_is_an_alias(invoke: Invoke, server: FakeServer) -> None:
    assert config_of(invoke("main:app", "--loop", "trio"), server).library == "trio"


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ([], "APP is missing: name the application as module:attribute"),
        (["main:app", "--prot", "5"], "there is no option --prot; did you mean --port?"),
        (["main:app", "--reaload"], "there is no option --reaload; did you mean --reload?"),
        (["main:app", "--zzz"], "there is no option --zzz; see 'tricorn --help'"),
        (
            ["main:app", "-b", "::1:80"],
            "Invalid value for '--bind' / '-b': must have an IPv6 address in brackets",
        ),
        (["main:app", "-b", ":1", "--port", "8000"], "--bind and --port are both given"),
        (["main:app", "-b", ":1", "--uds", "s"], "--bind and --uds are both given"),
        (["main:app", "--loop", "zuvloop"], "must not be zuvloop"),
        (["main:app", "--http", "zttp"], "must not be zttp"),
        (
            ["main:app", "--ssl-keyfile", "key.pem"],
            "--ssl-keyfile is given without --ssl-certfile; give the file of the certificate",
        ),
        (
            ["main:app", "--ssl-version", "3"],
            "Invalid value for '--ssl-version': must be one of 17, 2, 5, not 3",
        ),
        (["main:app", "--config", "missing.toml"], "missing.toml cannot be read"),
        (["main:app", "--completion", "tcsh"], "'tcsh' is not one of"),
        (["main:app", "--port"], "'--port' requires an argument"),
        (["main:app", "--port", "70000"], "Invalid value for '--port': must be from 0 to 65535, not 70000"),
        (["main:app", "--header", "nonsense"], "Invalid value for '--header': must have the form Name:Value"),
        (["main:app", "--header", "A: b\r\nC: d"], "must not have control characters"),
        (["main:app", "--lifespan", "maybe"], "must be one of auto, on, off, not 'maybe'"),
        (["main:app", "other:app"], "unexpected extra argument"),
        (["main:app", "--loop", "trio", "--async-library", "curio"], "--loop trio contradicts"),
        (["main:app", "--uds", "s", "--fd", "3"], "--uds and --fd"),
        (["main:app", "--factory=yes"], "does not take a value"),
        (["main:app", "--ws-per-message-deflate=maybe"], "'--ws-per-message-deflate': must be true or false"),
        (["main:app", "--ws-per-message-deflate="], "must be true or false, not ''"),
        (["main:app", "--ws-deflate-level", "10"], "'--ws-deflate-level': must be from 1 to 9, not 10"),
        (["main:app", "--ws-shutdown-code", "1005"], "must be one of 1012, 1001, not 1005"),
        (["main:app", "--ws", "wsprot"], "must be one of auto, tricorn, wsproto, websockets"),
    ],
)
def test_usage_error_is_one_line(invoke: Invoke, server: FakeServer, args: list[str], problem: str) -> None:
    assert problem in error_of(invoke(*args), 2)
    assert server.config is None


def test_usage_error_points_to_the_help(invoke: Invoke) -> None:
    assert error_of(invoke("main:app", "--port", "x"), 2).endswith("; see 'tricorn --help'")


def test_bad_value_from_the_environment_names_the_variable(invoke: Invoke) -> None:
    line = error_of(invoke("main:app", TRICORN_PORT="http"), 2)
    assert line.startswith("Invalid value for the environment variable TRICORN_PORT: must be a whole number")


def test_startup_error(invoke: Invoke, server: FakeServer) -> None:
    server.outcome = StartupError("the port 8000\nis taken", "choose another one with --port")
    assert error_of(invoke("main:app"), 3) == "the port 8000 is taken; choose another one with --port"


def test_startup_error_is_shown_at_every_log_level(invoke: Invoke, server: FakeServer) -> None:
    server.outcome = StartupError("the port 8000 is taken")
    assert error_of(invoke("main:app", "--log-level", "critical"), 3) == "the port 8000 is taken"


def test_usage_error_of_the_server(invoke: Invoke, server: FakeServer) -> None:
    server.outcome = UsageError("'main' is not of the form module:attribute", "write for example main:app")
    assert "write for example main:app" in error_of(invoke("main"), 2)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_exit_code_is_that_of_the_server(invoke: Invoke, server: FakeServer, code: int) -> None:
    server.outcome = code
    result = invoke("main:app")
    assert (result.exit_code, result.output) == (code, "")


def test_interrupt(invoke: Invoke, server: FakeServer) -> None:
    server.outcome = KeyboardInterrupt()
    assert invoke("main:app").exit_code == 130


def test_core_that_is_not_built(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tricorn.server", None)
    line = error_of(invoke("main:app"), 3)
    assert line.startswith("the core of tricorn cannot be loaded")
    assert "pip install ." in line


def test_help(invoke: Invoke) -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    assert result.output.startswith("Usage: tricorn [OPTIONS] APP\n")
    assert max(map(len, result.output.splitlines())) <= 80
    for option in OPTIONS:
        assert re.search(rf"^  (-\w, )?--{option.name}\b", result.output, flags=re.MULTILINE)
    for text in (
        "Where to listen:",
        "Limits:",
        "Deadlines, in seconds:",
        "--version",
        "TRICORN_",
        "UVICORN_",
    ):
        assert text in result.output


def test_short_help_shows_the_common_options(invoke: Invoke) -> None:
    result = invoke("-h")
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80
    for option in OPTIONS:
        shown = re.search(rf"^  (-\w, )?--{option.name}\b", result.output, flags=re.MULTILINE)
        assert bool(shown) is (option.group in COMMON)
    left = sum(option.group not in COMMON for option in OPTIONS)
    assert f"'tricorn --help' shows {left} more options" in result.output
    assert len(result.output) < len(invoke("--help").output)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_coloured_on_terminals(server: FakeServer, flag: str) -> None:
    def show(**env: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            return CliRunner().invoke(cli.build(), [flag], prog_name="tricorn", color=True).output

    coloured = show()
    assert "\x1b[36m--port\x1b[0m INTEGER" in coloured
    assert "\x1b[1mWhere to listen\x1b[0m:" in coloured
    assert show(NO_COLOR="1") == click.unstyle(coloured)


def test_help_names_attacks_and_defaults(invoke: Invoke) -> None:
    text = " ".join(invoke("--help").output.split())
    assert "Stops endless targets (414). [default: 16384]" in text
    assert "[default: 127.0.0.1]" in text


def test_version(invoke: Invoke) -> None:
    result = invoke("--version")
    assert result.exit_code == 0
    assert result.output.splitlines() == versions.lines()


def test_completion_of_choices() -> None:
    command = cli.build()
    param = next(param for param in command.params if param.name == "async_library")
    items = param.type.shell_complete(command.make_context("tricorn", ["a:b"]), param, "as")
    assert [item.value for item in items] == ["asyncio"]


def test_run_from_python(server: FakeServer) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    tricorn.run(app, port=0, headers=[("X-A", "b")])
    assert server.config == Config(app, port=0, header=("X-A:b",))


def test_run_from_python_raises(server: FakeServer) -> None:
    with pytest.raises(UsageError, match="did you mean 'port'"):
        tricorn.run("main:app", prot=1)
    server.outcome = StartupError("the port is taken")
    with pytest.raises(StartupError):
        tricorn.run("main:app")
    server.outcome = 1
    with pytest.raises(SystemExit) as caught:
        tricorn.run("main:app")
    assert caught.value.code == 1


def run_module(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``python -m tricorn``."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRICORN_")}
    if "PYTHONPATH" in env:
        env["PYTHONPATH"] = str(Path(env["PYTHONPATH"]).absolute())
    command = [sys.executable, "-m", "tricorn", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env)


def test_module_version(tmp_path: Path) -> None:
    done = run_module("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n".join(versions.lines()) + "\n", "")


def test_module_usage_error(tmp_path: Path) -> None:
    done = run_module(cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ERROR:    APP is missing")
    assert done.stderr.endswith("see 'python -m tricorn --help'\n")


@pytest.mark.parametrize("stderr", ["&-", "/dev/full"])
@pytest.mark.parametrize(("args", "code"), [("", 2), ("not_there:app --port 0", 3)])
def test_exit_code_where_the_error_cannot_be_printed(
    tmp_path: Path, stderr: str, args: str, code: int
) -> None:
    """Whoever watches the process goes by it."""
    command = f"exec {sys.executable} -m tricorn {args} 2>{stderr}"
    assert subprocess.run(["sh", "-c", command], check=False, cwd=tmp_path).returncode == code


@pytest.mark.parametrize("option", ["--help", "--version", "--print-config"])
def test_what_cannot_be_printed_is_told_in_one_line(tmp_path: Path, option: str) -> None:
    command = f"exec {sys.executable} -m tricorn {option} >/dev/full"
    done = subprocess.run(["sh", "-c", command], check=False, cwd=tmp_path, capture_output=True, text=True)
    told = "ERROR:    Cannot write to the standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_module_does_not_need_the_core_for_help(tmp_path: Path) -> None:
    done = run_module("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: python -m tricorn ")
