"""Tests whose cases take turns on the libraries, where what is tested is the same code on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

MARK = "in_turn: each case runs on one async library, and the cases take turns on them"


def _case(item: pytest.Function) -> int:
    """Return the number of a test's case, whatever its library."""
    return sum(number for name, number in item.callspec.indices.items() if name != "library")


def _tests(items: list[pytest.Item]) -> Iterator[list[pytest.Function]]:
    """Give the items of each marked test, module by module."""
    found: dict[str, list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("in_turn"):
            found.setdefault(item.nodeid.partition("[")[0], []).append(item)
    yield from found.values()


def left_out(items: list[pytest.Item]) -> set[pytest.Item]:
    """Return the items that are not to run: of a marked test each case stays on one of the libraries that are left.

    Which one that is follows from the case's number and the test's, so that tests of one case do not all take the
    first library.
    """
    out: set[pytest.Item] = set()
    for number, test in enumerate(_tests(items)):
        libraries = list(dict.fromkeys(item.callspec.params["library"] for item in test))
        for item in test:
            if item.callspec.params["library"] != libraries[(number + _case(item)) % len(libraries)]:
                out.add(item)
    return out
