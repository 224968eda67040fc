"""The file with the number of the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tricorn import pid_file
from tricorn.errors import StartupError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is to be."""
    return tmp_path / "server.pid"


def test_is_there_as_long_as_the_context(path: Path) -> None:
    with pid_file.held(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
        assert path.stat().st_mode & 0o777 == 0o644
        assert [file.name for file in path.parent.iterdir()] == [path.name], "no draft is left"
    assert not path.exists()


def test_no_file() -> None:
    with pid_file.held(None):
        pass


def test_is_removed_after_a_failure(path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), pid_file.held(str(path)):
        raise ValueError("mine")
    assert not path.exists()


def test_that_of_another_is_left(path: Path) -> None:
    with pid_file.held(str(path)):
        path.write_text("1\n")
    assert path.read_text() == "1\n"


def test_may_be_gone_at_the_end(path: Path) -> None:
    with pid_file.held(str(path)):
        path.unlink()


def test_a_live_process_is_refused(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        path.write_text(f"{other.pid}\n")
        running = rf"the process {other.pid} that .*server.pid names is running; stop"
        with pytest.raises(StartupError, match=running), pid_file.held(str(path)):
            raise AssertionError("it was taken")
        assert path.read_text() == f"{other.pid}\n"
    with pid_file.held(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_process_of_another_user_lives(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(number: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    path.write_text("77\n")
    with pytest.raises(StartupError, match="77"), pid_file.held(str(path)):
        raise AssertionError("it was taken")


@pytest.mark.parametrize("text", ["", "nonsense", "-1", "0", "99999999999", "our own", "\xff"])
def test_what_is_no_live_process_is_replaced(path: Path, text: str) -> None:
    """Our own number, too: in a container every server may be process 1."""
    path.write_text(str(os.getpid()) if text == "our own" else text, encoding="latin-1")
    with pid_file.held(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    missing = r"cannot be written: No such file.*--pid-file"
    with pytest.raises(StartupError, match=missing), pid_file.held(str(tmp_path / "no" / "pid")):
        raise AssertionError("it was written")


def test_a_directory_in_its_place(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StartupError, match="cannot be written"), pid_file.held(str(path)):
        raise AssertionError("it was written")
    assert [file.name for file in path.parent.iterdir()] == [path.name], "no draft is left"
