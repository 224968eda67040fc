"""The project's text: guards, notes, lists, and how much of it is tests."""

from __future__ import annotations

import re
from pathlib import Path

from house import PACKAGE, ROOT, SRC, complain, files, layer, name

TEXTS = ("*.c", "*.h", "*.py", "*.pyi", "*.md", "*.toml", "meson.build", "Makefile")
NOTES = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
MACHINES = re.compile(r"(?<![\w.])/(?:home|Users|root|work)/\w+")


def test_headers_are_guarded() -> None:
    """Each header has the guard TRI_LAYER_NAME_H, and nothing but comments stands around it."""
    problems = []
    for path in files("*.h", under=SRC):
        guard = f"TRI_{layer(path)}_{path.stem}_H".upper()
        text = path.read_text()
        if f"\n#ifndef {guard}\n#define {guard}\n" not in text or not re.search(
            r"#endif(?: /\*.*\*/)?\s*\Z", text
        ):
            problems.append(f"{name(path)}: {guard}")
    complain(
        problems,
        "Begin with the comment that says what the module is, then #ifndef, #define; end with #endif.",
    )


def test_headers_begin_with_what_they_are() -> None:
    """Each header says in its first lines what the module is for."""
    problems = [name(path) for path in files("*.h", under=SRC) if not path.read_text().startswith("/* ")]
    complain(problems, "Begin the header with a comment of a sentence or two.")


def test_nothing_is_left_to_do() -> None:
    """What is left to do is not written into the sources."""
    problems = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in files(*TEXTS)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if NOTES.search(line)
    ]
    complain(problems, "Do it, or open an issue.")


def test_text_speaks_of_no_machine() -> None:
    """No path of somebody's machine stands in the project."""
    problems = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in files(*TEXTS)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if MACHINES.search(line)
    ]
    complain(problems, "Write paths from the root of the project.")


def listed(build_file: Path) -> str:
    """A description of the build without its comments."""
    return re.sub(r"#.*", "", build_file.read_text())


def test_build_knows_every_file() -> None:
    """Each C source, each module of the package and each C test is in a list of meson.build."""
    problems = [
        name(path)
        for path in files("*.c", under=SRC)
        if f"'{path.name}'" not in listed(SRC / layer(path) / "meson.build")
    ]
    package = listed(SRC / "py" / "meson.build")
    problems += [
        name(path)
        for path in files("*.py", "*.pyi", "py.typed", under=PACKAGE)
        if f"'{path.relative_to(PACKAGE)}'" not in package
    ]
    tests = listed(ROOT / "tests" / "core" / "meson.build")
    problems += [
        name(path)
        for path in files("test_*.c", under=ROOT / "tests" / "core")
        if f"'{path.stem.removeprefix('test_')}'" not in tests
    ]
    complain(
        problems, "Add the file to the list in the meson.build of its folder (the package's is src/py's)."
    )


def lines_of_code(paths: list[Path]) -> int:
    """Lines that are not blank."""
    return sum(1 for path in paths for line in path.read_text().splitlines() if line.strip())


def test_tests_keep_up() -> None:
    """There are at least 0.8 lines of tests for each line of code."""
    code = lines_of_code([*files("*.c", "*.h", under=SRC), *files("*.py", under=PACKAGE)])
    tests = lines_of_code(files("*.c", "*.h", "*.py", under=ROOT / "tests"))
    assert tests >= 0.8 * code, f"{tests} lines of tests for {code} lines of code: write more tests."
