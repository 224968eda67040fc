"""The async libraries that Tricorn runs applications under, one small file each."""

from __future__ import annotations

import copy
import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

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


def load(name: str, loop_factory: str = "") -> Backend:
    """Return the backend called ``name``; ``auto`` is uvloop where it is installed, else asyncio.

    Args:
        name: What it is called.
        loop_factory: ``module:name`` of what makes the loop, for ``asyncio``; empty where the library makes it.

    Raises:
        StartupError: There is no such backend, its library is not installed, or the factory is not to be had.
    """
    if loop_factory:
        from tricorn._backends import asyncio

        return asyncio.AsyncioBackend(_imported(loop_factory))
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


def _imported(name: str) -> Callable[[], Any]:
    """Return what ``module:name`` stands for."""
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise StartupError(
            f"the factory of the loop, {name!r}, cannot be imported: {error}",
            "give a function or class that makes a loop of asyncio's with --loop, or leave it out",
        ) from error
    if not callable(found):
        raise StartupError(
            f"the factory of the loop, {name!r}, cannot be called", "give a function with --loop"
        )
    factory: Callable[[], Any] = found
    return factory
