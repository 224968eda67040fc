"""Which async library an application is written for: what it declares, and what its errors show."""

from __future__ import annotations

import sys
from typing import Final

ATTRIBUTE: Final = "__async_library__"
"""An application, or the module that it is imported from, names with it the library that it needs."""

FRAMEWORKS: Final = {"quart_trio": "trio"}
"""Frameworks that run on one library alone, by the package of the application's class."""

_ALIKE: Final = {"uvloop": "asyncio"}
_SIGNS: Final = {
    "no running event loop": "asyncio",
    "must be called from async context": "trio",
    "'RunContext' object has no attribute": "trio",
    "('trap_": "curio",
    "<Future ": "asyncio",
    "trio._core": "trio",
}
"""Texts of errors, and the library whose use under another one raises them."""


def declared(app: object, name: str | None = None) -> str | None:
    """Return the library that an application says it needs; ``None`` when it says nothing.

    Args:
        app: The application.
        name: ``module:attribute`` where it was imported from there.
    """
    found = getattr(app, ATTRIBUTE, None)
    if found is None and name is not None:
        found = getattr(sys.modules.get(name.partition(":")[0]), ATTRIBUTE, None)
    if isinstance(found, str):
        return found
    packages = {kind.__module__.partition(".")[0] for kind in type(app).__mro__}
    return next((FRAMEWORKS[package] for package in packages if package in FRAMEWORKS), None)


def mistaken(error: BaseException, library: str) -> str | None:
    """Return the library that an application has tried to use while another one runs it, if its error shows that.

    Args:
        error: What the application raised.
        library: The one that runs.
    """
    text = f"{type(error).__name__}: {error}"
    meant = next((meant for sign, meant in _SIGNS.items() if sign in text), None)
    if meant is None or meant == _ALIKE.get(library, library):
        return None
    return meant if isinstance(error, (RuntimeError, TypeError, AttributeError)) else None
