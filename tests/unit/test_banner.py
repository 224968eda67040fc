"""What a server says of itself: the lines at its start, and the versions."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import pytest

import tricorn
from tricorn import banner, versions
from tricorn.config import Config


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An application that is never called here."""


class Frames:
    """Stands for a class that makes frames."""


def test_the_usual_lines() -> None:
    lines = banner.lines(Config("main:app"), ["http://127.0.0.1:8000"], "asyncio")
    assert lines[0].startswith(f"Tricorn {tricorn.__version__} serves main:app, with Python 3.")
    assert lines[1] == f"Process {os.getpid()}"
    assert "CTRL+C" in lines[2] and "SIGTERM" in lines[2]
    assert lines[3:] == [f"Tricorn running on http://127.0.0.1:8000 (asyncio, C core {tricorn.__version__})"]


def test_all_that_there_can_be() -> None:
    config = Config(app, http="h11", ws="websockets-sansio")
    lines = banner.lines(config, ["http://[::]:1", "unix:a"], "trio", workers=4)
    assert len(lines) == 5
    assert re.fullmatch(
        r"h11 \d\S+ reads requests, websockets \d\S+ makes the frames of WebSockets", lines[1]
    )
    assert lines[2] == f"Process {os.getpid()} with 4 workers"
    assert re.search(r"running on http://\[::\]:1, unix:a \(trio \d", lines[4])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"ws": Frames}, "Frames makes the frames of WebSockets"),
        ({"ws": "none", "http": "my.parser:Parser"}, "my.parser:Parser reads requests"),
    ],
)
def test_readers(options: dict[str, Any], line: str) -> None:
    assert banner.lines(Config(app, **options), [], "none")[1] == line


def test_names_of_applications() -> None:
    assert banner.app_name(Config("main:app")) == "main:app"
    assert banner.app_name(Config(app)) == "app"
    assert banner.app_name(Config(Frames().__init__)) == "object.__init__"
    assert banner.app_name(Config(type("Site", (), {"__call__": app})())) == "Site"


def test_versions_one_fact_a_line() -> None:
    lines = versions.lines()
    names = [line.split(" ")[0] for line in lines]
    assert names[:7] == ["tricorn", "core", "OpenSSL", "nghttp2", "zlib", "Python", "Linux"]
    assert set(names[7:]) == {"uvloop", "trio", "curio", "h11", "httptools", "wsproto", "websockets"}
    assert lines[0] == f"tricorn {tricorn.__version__}" and lines[1] == f"core {tricorn.__version__}"
    assert re.fullmatch(r"OpenSSL (3\.\d+\S*|not built in)", lines[2])
    assert versions.has_tls() == (lines[2] != "OpenSSL not built in")
    assert re.fullmatch(r"nghttp2 (1\.\d+\S*|not built in)", lines[3])
    assert versions.has_http2() == (lines[3] != "nghttp2 not built in")
    assert re.fullmatch(r"zlib 1\.\d+\S*", lines[4])


def test_versions_without_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tricorn._core", None)
    assert versions.lines()[1] == "core not built"


def test_version_of_what_is_not_installed() -> None:
    assert versions.of("no-such-package") is None
    assert versions.of("") is None
    assert versions.with_version("none") == "none"
