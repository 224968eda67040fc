"""Tricorn: an ASGI server with a core written in C, for asyncio, uvloop, trio and curio."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tricorn._version import __version__

if TYPE_CHECKING:
    from tricorn.broadcasting import broadcast
    from tricorn.config import Config
    from tricorn.embedding import RunningServer, running, serve
    from tricorn.importer import Application
    from tricorn.uvicorn_server import Server

__all__ = ["Config", "RunningServer", "Server", "__version__", "broadcast", "run", "running", "serve"]

_HOMES = {
    "Config": "tricorn.config",
    "RunningServer": "tricorn.embedding",
    "Server": "tricorn.uvicorn_server",
    "broadcast": "tricorn.broadcasting",
    "running": "tricorn.embedding",
    "serve": "tricorn.embedding",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: most programs use one of them, and pytest's plugin none until it is used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def run(app: str | Application, **options: Any) -> None:
    """Serve an application until a signal stops the server.

    Args:
        app: An ASGI application, or where to import it from: ``"module:attribute"``.
        options: The options of the command with underscores for dashes (``port=0``, ``factory=True``);
            times are in seconds, sizes in bytes. Those of uvicorn are taken as :class:`Config` takes them.

    Raises:
        tricorn.errors.UsageError: An option is unknown, out of range or contradicts another, or an async library
            runs in this thread.
        tricorn.errors.StartupError: The application, the address or the async library is not to be had.
        SystemExit: The server ended with another code than 0.
    """
    from tricorn.cli import serve
    from tricorn.config import Config

    code = serve(Config(app, **options))
    if code != 0:
        raise SystemExit(code)
