"""Every option of uvicorn's own help is known: taken as it stands, or refused with the reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tricorn import cli, uvicorn_options

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import gen_uvicorn  # noqa: E402

ENTRIES = [entry for entry in gen_uvicorn.entries() if entry[0] not in ("help", "version")]
NAMES = [name for name, _ in ENTRIES]

OTHER_DEFAULTS = {"h11-max-incomplete-event-size", "http2", "log-config"}
"""Options that have another default here: a head may be longer, in every parser; HTTP/2 is spoken over TLS; our own
logging has a name."""


def test_the_help_was_understood() -> None:
    assert len(NAMES) == len(set(NAMES)) == 50
    assert ("port", "8000") in ENTRIES and ("app-dir", "") in ENTRIES and ("fd", "") in ENTRIES
    assert set(NAMES) | {"app"} == uvicorn_options.NAMES


@pytest.mark.parametrize("name", NAMES)
def test_option_is_ours(name: str) -> None:
    assert gen_uvicorn.known(name) is not None, f"--{name} is missing"


@pytest.mark.parametrize(("name", "default"), ENTRIES, ids=NAMES)
def test_default_is_uvicorns(name: str, default: str) -> None:
    option = gen_uvicorn.known(name)
    if option is not None and name not in OTHER_DEFAULTS:
        assert gen_uvicorn._same(default, option), option.default


@pytest.mark.parametrize("name", NAMES)
def test_variable_of_uvicorn_is_asked(name: str) -> None:
    variable = "UVICORN_" + name.upper().replace("-", "_")
    assert variable in uvicorn_options.variables([name])
    option = gen_uvicorn.known(name)
    assert option is None or variable in option.variables


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--http3"], "--http3 is an option of uvicorn that Tricorn does not have"),
        (["--quic", "2"], "--quic is an option of uvicorn that Tricorn does not have"),
    ],
)
def test_refusal_is_one_line(
    arguments: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were there options that uvicorn has and Tricorn has not, it would say so, and what to do instead."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(uvicorn_options, "NAMES", uvicorn_options.NAMES | {"http3", "quic"})
    monkeypatch.setattr(uvicorn_options, "FLAGS", uvicorn_options.FLAGS | {"http3"})
    monkeypatch.setitem(uvicorn_options.MISSING, "http3", (False,))
    monkeypatch.setitem(uvicorn_options.MISSING, "quic", (1,))
    result = CliRunner().invoke(cli.build(), ["main:app", *arguments], prog_name="tricorn")
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert line.removeprefix("ERROR:    ").startswith(problem) and ";" in line


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a generator."""
    command: list[Any] = [sys.executable, ROOT / "tools" / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_page_is_current() -> None:
    done = tool("gen_uvicorn.py", "--check")
    assert (done.returncode, done.stderr) == (0, "")
    text = gen_uvicorn.PAGE.read_text(encoding="utf-8")
    assert all(f"| `--{name}` |" in text for name in NAMES)


def test_generator_refuses_other_arguments() -> None:
    assert tool("gen_uvicorn.py", "--what").returncode == 2


def test_generator_sees_a_stale_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr(gen_uvicorn, "PAGE", page)
    assert gen_uvicorn.main(["--check"]) == 1
    assert gen_uvicorn.main([]) == 0
    assert gen_uvicorn.main(["--check"]) == 0
    page.write_text("old")
    assert gen_uvicorn.main(["--check"]) == 1
