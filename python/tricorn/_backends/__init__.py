"""The async libraries that Tricorn runs applications under, one small file each."""

from __future__ import annotations

import copy
import importlib.util
from importlib.metadata import entry_points

from tricorn._backends.base import Backend
from tricorn.errors import StartupError, missing_library

GROUP = "tricorn.backends"


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
