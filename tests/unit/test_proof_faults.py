"""How the proof reads what tests of faults have told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from proof import faults

REPORT = """<testsuites><testsuite>
<testcase classname="tests.asgi.test_clocks" name="test_one_thing[trio-EMFILE]"><properties>
<property name="tries" value="1200"/></properties></testcase>
<testcase classname="tests.asgi.test_clocks" name="test_one_thing[trio-ENFILE]"><properties>
<property name="tries" value="30"/></properties></testcase>
<testcase classname="tests.asgi.test_clocks" name="test_another[trio]"><failure message="no"/></testcase>
<testcase classname="tests.asgi.test_clocks" name="test_third[trio]"><skipped message="no disk"/></testcase>
</testsuite></testsuites>"""


def test_runs_of_a_test_are_one_line(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    found = {
        name: tally.line(faults.in_words(name), "trio") for (_, name), tally in faults.tallies(report).items()
    }
    assert {name: (line.figure, line.held) for name, line in found.items()} == {
        "test_one_thing": ("2 runs, 0 failed, 1,230 tries", True),
        "test_another": ("1 run, 1 failed", False),
        "test_third": ("1 run, 0 failed, 1 skipped", False),
    }
    assert found["test_one_thing"].what == "one thing"


@pytest.mark.parametrize(
    ("text", "code", "figure", "held"),
    [
        (
            "12 allocations\n3000 faults\n7 allocations\n10 passed, 0 failed\n",
            0,
            "19 allocations, 3,000 faults, ",
            True,
        ),
        ("19 faults\n10 passed, 2 failed\n", 1, "10 checks passed, 2 failed", False),
        ("10 passed, 0 failed\n", 0, "10 checks passed, 0 failed", False),
        ("", -11, "0 checks passed, 1 failed", False),
    ],
)
def test_what_a_program_has_told(
    monkeypatch: pytest.MonkeyPatch, text: str, code: int, figure: str, held: bool
) -> None:
    done = subprocess.CompletedProcess[str]([], code, text, "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    line = faults.program("server_faults", "what")
    assert figure in line.figure and line.held is held


@pytest.mark.parametrize(
    ("scenario", "held"), [({"last": 7, "seen": 5}, True), ({"last": 0, "seen": 0}, False)]
)
def test_allocations_that_did_not_fail_have_not_held(
    monkeypatch: pytest.MonkeyPatch, scenario: dict[str, int], held: bool
) -> None:
    told = {"serving": {"last": 3, "seen": 3}, "joining": scenario, "wrong": [], "status": 200}
    done = subprocess.CompletedProcess[str]([], 0, json.dumps(told), "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert faults.binding().held is held


def test_a_python_that_cannot_refuse_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults.importlib.util, "find_spec", lambda _: None)
    assert not faults.binding().held


def test_tests_that_did_not_run_have_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why not is told."""
    done = subprocess.CompletedProcess[str]([], 3, "some lines\nno report\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    found = list(faults.on_library("trio"))
    assert [line.held for line in found] == [False] * len(faults.TESTS)
    assert {line.figure for line in found} == {"no test has run: no report"}


def test_what_it_runs_is_there() -> None:
    names = (faults.ROOT / "tests" / "core" / "meson.build").read_text()
    assert all(f"'{name}'" in names for name in faults.PROGRAMS)
    assert all((faults.ROOT / "tests" / "asgi" / f"{name}.py").exists() for name in faults.TESTS)
    assert sys.modules["proof.faults"].__doc__
