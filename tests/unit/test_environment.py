"""The file of variables for the application."""

from __future__ import annotations

from pathlib import Path

import pytest

from tricorn import environment
from tricorn.errors import StartupError, UsageError


@pytest.mark.parametrize("content", [b"A=\xff\n", b"A=\0b\n"])
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("dotenv")
    file = tmp_path / "env"
    file.write_bytes(content)
    with pytest.raises(StartupError, match=r"--env-file .*env: it cannot be read: "):
        environment.load(str(file))


@pytest.mark.parametrize(("name", "problem"), [("", "it is a directory"), ("none", "there is no such file")])
def test_what_is_no_file_is_said(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        environment.load(str(tmp_path / name))
