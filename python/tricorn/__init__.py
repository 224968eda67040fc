"""Tricorn: an ASGI server with a core written in C, for asyncio, uvloop, trio and curio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tricorn._version import __version__
from tricorn.config import Config
from tricorn.importer import Application

if TYPE_CHECKING:
    from tricorn.embedding import RunningServer, running, serve

__all__ = ["Config", "RunningServer", "__version__", "run", "running", "serve"]

_EMBEDDING = {"RunningServer", "running", "serve"}


def __getattr__(name: str) -> Any:
    """Import what serves inside a program when it is asked for: it needs the core, and most programs only run."""
    if name not in _EMBEDDING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tricorn import embedding

    return getattr(embedding, name)


def run(app: str | Application, **options: Any) -> None:
    """Serve an application until a signal stops the server.

    Args:
        app: An ASGI application, or where to import it from: ``"module:attribute"``.
        options: The options of the command with underscores for dashes (``port=0``, ``factory=True``);
            times are in seconds, sizes in bytes.

    Raises:
        tricorn.errors.UsageError: An option is unknown, out of range or contradicts another.
        tricorn.errors.StartupError: The application, the address or the async library is not to be had.
        SystemExit: The server ended with another code than 0.
    """
    from tricorn.cli import serve

    code = serve(Config.from_options(app, **options))
    if code != 0:
        raise SystemExit(code)
