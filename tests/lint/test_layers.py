"""Dependencies point strictly down, in C and in Python."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import PACKAGE, SRC, c_sources, complain, includes, layer, name, python_sources

MAY_INCLUDE = {
    "base": set(),
    "http": {"base"},
    "ws": {"base"},
    "net": {"base"},
    "server": {"base", "http", "ws", "net"},
    "py": {"base", "http", "ws", "net", "server"},
}
SANS_IO = {"base", "http", "ws"}
SYSTEM = (
    "sys/",
    "netinet/",
    "arpa/",
    "unistd.h",
    "fcntl.h",
    "poll.h",
    "netdb.h",
    "time.h",
    "pthread.h",
    "signal.h",
)
NO_CALLS = {"sys/uio.h", "sys/types.h"}
"""System headers that are wanted for their types."""
LIBRARIES = {"asyncio", "uvloop", "trio", "curio"}


def test_includes_point_down() -> None:
    """A layer includes itself and those below it; http, ws and net do not know each other."""
    problems = []
    for path in c_sources():
        for line, included, ours in includes(path):
            below = included.split("/")[0]
            if ours and below != layer(path) and below not in MAY_INCLUDE[layer(path)]:
                problems.append(f'{name(path)}:{line}: {layer(path)} may not include "{included}"')
    complain(
        problems, "Move what is needed to a lower layer, or hand it in from above (ARCHITECTURE.md, Layers)."
    )


def test_includes_are_written_from_src() -> None:
    """Each of our includes shows its layer."""
    problems = [
        f'{name(path)}:{line}: "{included}"'
        for path in c_sources()
        for line, included, ours in includes(path)
        if ours and ("/" not in included or not (SRC / included).is_file())
    ]
    complain(problems, 'Write includes from src/: #include "base/buf.h".')


def test_python_h_is_known_to_py_alone() -> None:
    """The core can be linked without Python."""
    headers = {"Python.h", "structmember.h", "datetime.h", "frameobject.h"}
    problems = [
        f"{name(path)}:{line}: {included}"
        for path in c_sources()
        for line, included, _ in includes(path)
        if included in headers and layer(path) != "py"
    ]
    complain(problems, "Only src/py knows Python; give the core a call or a callback that does without.")


def test_no_private_header_of_python() -> None:
    """The binding stays with CPython's documented interface."""
    problems = [
        f"{name(path)}:{line}: {included}"
        for path in c_sources()
        for line, included, _ in includes(path)
        if included.startswith(("internal/", "cpython/", "pycore_"))
    ]
    complain(problems, "Use the documented interface of Python.h.")


def test_protocols_do_no_io() -> None:
    """base, http and ws make no system call and read no clock."""
    problems = [
        f"{name(path)}:{line}: <{included}>"
        for path in c_sources()
        for line, included, ours in includes(path)
        if layer(path) in SANS_IO and not ours and included.startswith(SYSTEM) and included not in NO_CALLS
    ]
    complain(problems, "Bytes and the time are parameters here; what makes system calls belongs to src/net.")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level name of every import of a module, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


@pytest.mark.parametrize("path", python_sources(), ids=name)
def test_async_libraries_are_known_to_backends_alone(path: Path) -> None:
    """No module but a backend imports asyncio, uvloop, trio or curio."""
    if path.is_relative_to(PACKAGE / "_backends"):
        return
    problems = [
        f"{name(path)}:{line}: import of {module}" for line, module in imported(path) if module in LIBRARIES
    ]
    complain(problems, "Add what is needed to the contract in python/tricorn/_backends/base.py.")
