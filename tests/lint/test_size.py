"""Functions stay small, in C and in Python."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import lizard
from house import TABLES, c_sources, complain, files, name, python_sources

REMEDY = "Split it by what its parts are called; see the limits in CONTRIBUTING.md."


@cache
def functions() -> dict[str, list[tuple[str, Any]]]:
    """Every function with where it stands, by language."""
    found: dict[str, list[tuple[str, Any]]] = {"C": [], "Python": []}
    for language, sources in (("C", c_sources()), ("Python", python_sources())):
        for path in sources:
            for function in lizard.analyze_file(str(path)).function_list:
                found[language].append((f"{name(path)}:{function.start_line}: {function.name}", function))
    return found


def percentile(values: list[int], percent: float) -> int:
    """The smallest value that is not exceeded by so many percent of them."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def longer(language: str, lines: int) -> list[str]:
    """The functions of more lines than that, longest first."""
    found = [(f.length, place) for place, f in functions()[language] if f.length > lines]
    return [f"{place}: {length} lines" for length, place in sorted(found, reverse=True)]


def test_functions_are_short() -> None:
    """90 % have at most 40 lines, 97 % at most 60, all at most 100."""
    for language, found in functions().items():
        lengths = [function.length for _, function in found]
        complain(longer(language, 100), REMEDY)
        if percentile(lengths, 90) > 40:
            complain(
                longer(language, 40), f"{language}: more than one function in ten is above 40 lines. {REMEDY}"
            )
        if len(longer(language, 60)) > 0.03 * len(lengths):
            complain(longer(language, 60), f"{language}: more than 3 % are above 60 lines. {REMEDY}")


def test_functions_are_simple() -> None:
    """The cyclomatic complexity is at most 10 for 95 %, and never above 20."""
    for language, found in functions().items():
        complexities = [function.cyclomatic_complexity for _, function in found]
        shown = [f"{place}: {f.cyclomatic_complexity}" for place, f in found if f.cyclomatic_complexity > 20]
        complain(shown, REMEDY)
        if percentile(complexities, 95) > 10:
            shown = [
                f"{place}: {f.cyclomatic_complexity}" for place, f in found if f.cyclomatic_complexity > 10
            ]
            complain(shown, f"{language}: more than one function in twenty is above 10. {REMEDY}")


IMPOSED = ("SSL *", "nghttp2_session *")
"""What the first parameter of a library's callback is: the library has decided how many there are."""


def is_imposed(function: Any) -> bool:
    """Whether a library calls the function, and so has said what it is called with."""
    return bool(function.full_parameters) and function.full_parameters[0].startswith(IMPOSED)


def test_functions_take_few_parameters() -> None:
    """A function of the core takes at most five parameters."""
    shown = [
        f"{place}: {f.parameter_count}"
        for place, f in functions()["C"]
        if f.parameter_count > 5 and not is_imposed(f)
    ]
    complain(shown, "Hand in a struct that has a name.")


def length(path: Path) -> int:
    """The lines of a file."""
    return len(path.read_text().splitlines())


def test_files_are_short() -> None:
    """A file has at most 800 lines."""
    paths = [path for path in files("*.c", "*.h", "*.py", "*.pyi") if name(path) not in TABLES]
    shown = [f"{name(path)}: {length(path)} lines" for path in paths if length(path) > 800]
    complain(shown, "Split the file by concept; a generated table is listed in tests/lint/house.py.")


def test_lines_are_short() -> None:
    """A line of C has at most 120 columns."""
    shown = [
        f"{name(path)}:{number}: {len(line)} columns"
        for path in files("*.c", "*.h")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 120
    ]
    complain(shown, "Break the line, or make the sentence shorter.")
