"""The versions of what a server is made of."""

from __future__ import annotations

import platform
from importlib import import_module, metadata
from typing import Final

from tricorn._version import __version__

_ASYNC: Final = ("uvloop", "trio", "curio")
_PARSERS: Final = ("h11", "httptools", "wsproto", "websockets")
_MISSING: Final = "not built in"


def lines() -> list[str]:
    """Return a line for each fact: Tricorn, its core and what is built into it, Python, libraries and parsers."""
    core = _core()
    text = [f"tricorn {__version__}", f"core {core.pop('core', None) or 'not built'}"]
    text += [f"{name} {version or _MISSING}" for name, version in core.items()]
    text.append(f"Python {platform.python_version()} ({platform.python_implementation()})")
    text.append(f"{platform.system()} {platform.machine()}")
    found = ((name, of(name)) for name in (*_ASYNC, *_PARSERS))
    return text + [f"{name} {version}" for name, version in found if version is not None]


def has_http2() -> bool:
    """Tell whether the core is built with HTTP/2."""
    return _core().get("nghttp2") is not None


def has_tls() -> bool:
    """Tell whether the core is built with TLS."""
    return _core().get("OpenSSL") is not None


def of(name: str) -> str | None:
    """Return the version of an installed package; ``None`` when it is not installed."""
    try:
        return metadata.version(name)
    except (metadata.PackageNotFoundError, ValueError):
        return None


def with_version(name: str) -> str:
    """Return a library's name with its version, where it has one of its own."""
    version = of(name)
    return f"{name} {version}" if version else name


def _core() -> dict[str, str | None]:
    try:
        found: dict[str, str | None] = import_module("tricorn._core").versions()
    except ImportError:
        return {}
    return found
