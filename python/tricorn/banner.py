"""What a server says when it begins: what runs, where, on which library, and how to stop it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from tricorn import versions
from tricorn._version import __version__
from tricorn.config import Config


def lines(config: Config, urls: Sequence[str], library: str, workers: int = 1) -> list[str]:
    """Return at most five lines about a server in processes of its own; the last says where it runs.

    Args:
        config: The options.
        urls: Where it listens.
        library: The async library that runs the application.
        workers: How many processes serve.
    """
    text = [f"Tricorn {__version__} serves {app_name(config)}, with Python {platform.python_version()}"]
    text += _readers(config)
    text.append(_processes(config, workers))
    text.append("Press CTRL+C to quit, or send SIGTERM: requests under way may end")
    text.append(where(urls, library))
    return text


def where(urls: Sequence[str], library: str) -> str:
    """Return the line that says where a server runs, and on what.

    Args:
        urls: Where it listens.
        library: The async library that runs the application.
    """
    return f"Tricorn running on {', '.join(urls)} ({versions.with_version(library)}, C core {__version__})"


def app_name(config: Config) -> str:
    """Return what an application is called: where it is imported from, or its own name."""
    app = config.app
    if isinstance(app, str):
        return app
    return str(getattr(app, "__qualname__", None) or type(app).__qualname__)


def _readers(config: Config) -> list[str]:
    """Say what reads requests and frames, where that is not the core."""
    own = ("auto", "tricorn")
    text = []
    if config.http not in own:
        text.append(f"{versions.with_version(config.http)} reads requests")
    if config.ws not in (*own, "none"):
        ws = config.ws if isinstance(config.ws, str) else getattr(config.ws, "__name__", repr(config.ws))
        text.append(f"{versions.with_version(ws.removesuffix('-sansio'))} makes the frames of WebSockets")
    return [", ".join(text)] if text else []


def _processes(config: Config, workers: int) -> str:
    who = f"Process {os.getpid()}"
    if workers > 1:
        who += f" with {workers} workers"
    return f"{who}, started anew when files change" if config.reload else who
