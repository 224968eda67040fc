"""Imports curio on Pythons whose standard library has lost names that curio reads while it is imported.

Python 3.12 removed ``ssl.wrap_socket`` and three constants of ``multiprocessing.connection``. curio 1.6 keeps
them for functions that few programs call, and runs well once it is imported. So the names are lent to the two
modules for the time of the import and taken back after it. An application's own ``import curio`` comes later
and finds the module that is there.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

_lock: Final = threading.Lock()


def import_curio() -> ModuleType:
    """Import curio, on any Python, and return it.

    The standard library is afterwards as it was before. Threads may call this at the same time.

    Raises:
        ImportError: curio is not installed, or cannot be imported for another reason.
    """
    with _lock:
        if "curio" in sys.modules:
            return importlib.import_module("curio")  # which waits for a thread that is still importing it
        _forget_remains()
        with _lent_names():
            return importlib.import_module("curio")


def _forget_remains() -> None:
    """Drop what an import that failed has left: curio cannot be made of parts that are there already."""
    for name in [name for name in sys.modules if name.startswith("curio.")]:
        del sys.modules[name]


def _wrap_socket(*args: Any, **kwargs: Any) -> None:
    """Stand for a function that Python no longer has; use ssl.SSLContext.wrap_socket.

    Never called: curio takes over this text, and looks the function up in the module ssl when it is needed.
    """


_NAMES: Final[tuple[tuple[str, str, object], ...]] = (
    # The words of the handshake of curio's channels, with the values of Python 3.11.
    ("multiprocessing.connection", "CHALLENGE", b"#CHALLENGE#"),
    ("multiprocessing.connection", "WELCOME", b"#WELCOME#"),
    ("multiprocessing.connection", "FAILURE", b"#FAILURE#"),
    ("ssl", "wrap_socket", _wrap_socket),
)


@contextmanager
def _lent_names() -> Iterator[None]:
    """Give the standard library the names that it lacks, and take back those that were given."""
    lent: list[tuple[ModuleType, str]] = []
    try:
        for module_name, name, value in _NAMES:
            module = importlib.import_module(module_name)
            if not hasattr(module, name):
                setattr(module, name, value)
                lent.append((module, name))
        yield
    finally:
        for module, name in lent:
            delattr(module, name)
