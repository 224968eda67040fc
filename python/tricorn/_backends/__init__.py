"""The async libraries that Tricorn runs applications under, one small file each."""

from __future__ import annotations

import copy
import importlib.util
import sys
from importlib.metadata import entry_points

from tricorn._backends.base import Backend
from tricorn.errors import StartupError, missing_library

GROUP = "tricorn.backends"


def current() -> Backend | None:
    """Return the backend of the library that the caller runs in, if it is one; asyncio's is asked last.

    A library that has not been imported does not run, and is not imported for this.
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name == "asyncio")
    for point in points:
        if any(sys.modules.get(name) is not None for name in (point.name, point.module)):
            backend = load(point.name)
            if backend.running():
                return backend
    return None


def load(name: str) -> Backend:
    """Return the backend called ``name``; ``auto`` is uvloop where it is installed, else asyncio.

    Raises:
        StartupError: There is no such backend, or its library is not installed.
    """
    if name == "auto":
        name = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
    found = entry_points(group=GROUP, name=name)
    if not found:
        known = ", ".join(sorted({point.name for point in entry_points(group=GROUP)}))
        raise StartupError(f"there is no backend for the async library {name!r}", f"choose one of {known}")
    try:
        backend: Backend = copy.copy(next(iter(found)).load())  # each server's own
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "tricorn":
            raise
        raise missing_library(name) from error
    return backend
