"""The config file: where it is looked for, what it may say, and one line for what it may not."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tricorn import config_file
from tricorn.config import Config
from tricorn.errors import UsageError
from tricorn.options import OPTIONS


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str, name: str = "tricorn.toml", given: str | None = None) -> dict[str, Any]:
    """Write a file, and read it as the command does."""
    Path(name).write_text(text, encoding="utf-8")
    found = config_file.load(given)
    assert found is not None and found.name == name
    return found.values


def problem(text: str, name: str = "tricorn.toml", given: str | None = None) -> str:
    """Return the one line that a file is refused with."""
    with pytest.raises(UsageError) as caught:
        load(text, name, given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_none_is_no_error() -> None:
    assert config_file.load() is None


def test_names_with_dashes_and_underscores() -> None:
    values = load(
        'app = "main:app"\nlog-level = "debug"\nlimit_drain = 5\nheaders = ["a:b"]\nfactory = true\n'
    )
    assert values == {
        "app": "main:app",
        "log_level": "debug",
        "limit_drain": 5,
        "header": ("a:b",),
        "factory": True,
    }


def test_forms_of_values() -> None:
    values = load(
        'bind = "unix:a"\nuds-mode = 0o600\ntimeout-write = 3\nws-ping-interval = "none"\n'
        "h11-max-incomplete-event-size = 9000\n"
    )
    assert values == {
        "bind": ("unix:a",),
        "uds_mode": 0o600,
        "timeout_write": 3.0,
        "ws_ping_interval": 0.0,
        "limit_request_head": 9000,
    }
    assert load('uds-mode = "640"')["uds_mode"] == 0o640


def test_section_of_the_projects_file() -> None:
    text = '[project]\nname = "a"\n[tool.tricorn]\nport = 5\n[tool.other]\nport = 6\n'
    assert load(text, "pyproject.toml") == {"port": 5}
    assert load("port = 7") == {"port": 7}, "the file of our own counts before it"


@pytest.mark.parametrize("text", ["", "[tool.other]\na = 1\n", "tool = 1\n"])
def test_a_projects_file_need_not_speak_of_us(text: str) -> None:
    Path("pyproject.toml").write_text(text)
    assert config_file.load() is None
    assert "has no section [tool.tricorn]" in problem(text, "pyproject.toml", "pyproject.toml")


def test_given_file() -> None:
    Path("tricorn.toml").write_text("port = 1")
    assert load("port = 2", "other.toml", "other.toml") == {"port": 2}


def test_what_uvicorn_has_and_we_do_not() -> None:
    """Is taken where it asks for nothing, and refused with the reason where it does."""
    assert load("timeout-notify = 30\n") == {}
    line = problem("timeout-notify = 5")
    assert line.startswith("tricorn.toml: timeout-notify = 5 is an option of uvicorn that Tricorn does not")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "tricorn.toml: there is no option 'prot'; did you mean 'port'?"),
        ("[server]\nport = 1", "tricorn.toml: there is no option 'server'"),
        ("port = 70000", "tricorn.toml: port must be from 0 to 65535, not 70000"),
        ('port = "http"', "tricorn.toml: port must be a whole number, not 'http'"),
        ("port = 1.5", "tricorn.toml: port must be a whole number, not 1.5"),
        ("access-log = 1", "tricorn.toml: access-log must be true or false, not 1"),
        ('lifespan = "maybe"', "tricorn.toml: lifespan must be one of auto, on, off"),
        ("header = 5", "tricorn.toml: header must be a sequence"),
        ('header = ["a"]', "tricorn.toml: header must have the form Name:Value"),
        ("app = 5", "tricorn.toml: app must be a string"),
        ("log-level = 'info'\nlog_level = 'debug'", "tricorn.toml: log_level is given twice"),
        ("port 5", "tricorn.toml is no TOML: Expected '='"),
        ("port = ", "tricorn.toml is no TOML"),
        (f"port = {'9' * 5000}", "tricorn.toml is no TOML: Exceeds the limit"),
        (f"port = {'[' * 100_000}", "tricorn.toml is no TOML of ours: it is nested too deeply"),
        (
            "timeout-notify = 2026-11-30",
            'tricorn.toml: timeout-notify = "2026-11-30" is an option of uvicorn',
        ),
    ],
)
def test_refuses(text: str, message: str) -> None:
    line = problem(text)
    assert line.startswith(message)
    assert ";" in line


def test_refuses_a_section_of_another_kind() -> None:
    Path("pyproject.toml").write_text("tool.tricorn = 5")
    with pytest.raises(UsageError, match=r"pyproject\.toml: tool\.tricorn is no table; .*\[tool\.tricorn\]"):
        config_file.load()


def test_refuses_bytes() -> None:
    Path("tricorn.toml").write_bytes(b"app = '\xff'")
    with pytest.raises(UsageError, match=r"tricorn\.toml is no TOML"):
        config_file.load()


def test_given_file_must_be_there() -> None:
    with pytest.raises(UsageError, match=r"missing.toml cannot be read: No such file .*--config"):
        config_file.load("missing.toml")


WRITTEN: list[dict[str, Any]] = [
    {},
    {"bind": ["[::]:80", "unix:a b"], "uds_mode": 0o600, "access_log": False},
    {"uds": 'a"\\\x7f\té', "header": ['X: "quoted"'], "timeout_write": 2.5, "limit_concurrency": 7},
]


@pytest.mark.parametrize("options", WRITTEN)
def test_what_is_written_can_be_read(options: dict[str, Any]) -> None:
    """Every option stands in it once, with its value or as a comment, and it means the same."""
    config = Config("main:app", **options)
    text = config_file.write(config, dict.fromkeys(options, "command line"))
    values = load(text, "written.toml", "written.toml")
    assert Config(**values) == config
    lines = text.splitlines()
    for option in OPTIONS:
        assert sum(line.startswith((f"{option.name} = ", f"# {option.name}: ")) for line in lines) == 1
    assert sum(line.endswith("  # command line") for line in lines) == len(options)
    assert tomllib.loads(text)["app"] == "main:app"
