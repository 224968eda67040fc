"""The pages on security name tests and options that exist, with the defaults that they have."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from house import ROOT, complain

from tricorn.options import OPTIONS

PAGES = ("docs/security/threat-model.md", "docs/security/attacks.md")
NAMED = re.compile(r"`(tests/[\w/]+\.(?:py|c))::(\w+)`")
SPANS = re.compile(r"`(--[a-z][a-z0-9-]*)(?: ([^`]+))?`")


@cache
def names_in(path: Path) -> set[str]:
    """The names of the tests in a file of Python or C."""
    pattern = r"^(?:async )?def (test_\w+)\(" if path.suffix == ".py" else r"^static void (test_\w+)\("
    return set(re.findall(pattern, path.read_text(), re.MULTILINE))


def unknown_tests(text: str) -> list[str]:
    """The tests that a page names and that are not there."""
    return [
        f"{file}::{test}"
        for file, test in NAMED.findall(text)
        if not (ROOT / file).exists() or test not in names_in(ROOT / file)
    ]


def default_of(name: str) -> str:
    """The default of an option as a page writes it."""
    default = next(option.default for option in OPTIONS if option.name == name)
    return f"{default:g}" if isinstance(default, float) else str(default)


def wrong_options(text: str) -> list[str]:
    """The options of a page that are not there, or that have a number which is not their default."""
    known = {option.name for option in OPTIONS}
    problems = []
    for option, value in SPANS.findall(text):
        name = option[2:] if option[2:] in known else option[2:].removeprefix("no-")
        if name not in known:
            problems.append(f"{option}: there is no such option")
        elif re.fullmatch(r"[\d.]+", value) and name != "forwarded-allow-ips" and value != default_of(name):
            problems.append(f"{option} {value}: the default is {default_of(name)}")
    return problems


def test_what_pages_on_security_name_is_there() -> None:
    """Each test, each option, each default."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        complain(
            [f"{page}: {problem}" for problem in unknown_tests(text)], "Name the test that shows it now."
        )
        complain(
            [f"{page}: {problem}" for problem in wrong_options(text)], "Write what the table of options says."
        )


def test_each_defence_is_shown() -> None:
    """A row of an attack names a test, or says whose business it is."""
    text = (ROOT / PAGES[0]).read_text()
    tables = re.findall(r"^\| attack \|.*\n\|[- |]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) > 40
    unshown = [row for row in rows if not NAMED.search(row) and "**the application's**" not in row]
    complain(unshown, "Name a test in its last column.")


def test_wrong_pages_are_seen() -> None:
    """A test that is gone, an option that never was, a default that has changed."""
    assert unknown_tests("`tests/lint/test_security.py::test_gone` `tests/gone.c::test_gone`") != []
    assert unknown_tests("`tests/lint/test_security.py::test_wrong_pages_are_seen`") == []
    assert wrong_options("`--no-such-option`") and wrong_options("`--timeout-write 31`")
    assert wrong_options("`--timeout-write 30` `--no-http2` `--h2-max-queue`") == []


def test_tables_are_those_of_the_figures() -> None:
    """The page has the tables that its tool writes."""
    done = subprocess.run([sys.executable, ROOT / "tools" / "gen_attacks.py", "--check"], check=False)
    assert done.returncode == 0, "Run tools/gen_attacks.py."


def test_a_table_takes_the_place_of_the_one_before() -> None:
    """What stands around it stays; a figure that all libraries share stands once."""
    spec = importlib.util.spec_from_file_location("gen_attacks", ROOT / "tools" / "gen_attacks.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    begin, end = tool.BEGIN.format("figures"), tool.END.format("figures")
    assert tool.replaced(f"a\n{begin}\nold\n{end}\nb", "figures", "new") == f"a\n{begin}\nnew\n{end}\nb"
    assert tool.cell([{"held": 5}, {"held": 5}], "held") == "5"
    assert tool.cell([{"held": 5}, {"held": 1000}], "held") == "5 / 1,000"
