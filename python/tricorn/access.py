"""The access log: which way a request's line takes, straight from the core or through :mod:`logging`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Final

from tricorn import _core, log_files, logs
from tricorn.config import Config

FINISH_MS: Final = 1_000
"""Milliseconds that the lines of a server that has stopped wait for a reader that is slow."""

_logger = logging.getLogger("tricorn.error")


def start(core: _core.Server, config: Config, library: str, *, direct: bool) -> Callable[[], None]:
    """Have the core log its requests as the options and the loggers say.

    Args:
        core: The server, before it serves.
        config: The options.
        library: The name of the async library.
        direct: Whether the core may write by itself, where nobody has set up the logger otherwise.

    Returns:
        What to call when nothing more is logged: it writes what waits.
    """
    if direct:
        adopt()
    text = config.access_log_format != "uvicorn"
    call = logs.line_logger(config) if text else logs.access_logger(config)
    fd, piece, owned, colors = -1, 0, False, False
    handler = _own_handler() if direct and call is not None else None
    if handler is not None:
        fd, piece, owned = log_files.descriptor(handler)
        colors = isinstance(handler.formatter, logs.Formatter) and handler.formatter.colors
    core.log_access(
        format=config.access_log_format,
        excluded=b"".join(os.fsencode(glob) + b"\0" for glob in config.access_log_exclude),
        colors=colors,
        library=library,
        seed=int.from_bytes(os.urandom(8), "big"),
        fd=fd,
        piece=piece,
        call=call,
        text=text,
        on_lost=_on_lost,
    )

    to_close = [fd] if owned else []

    def finish() -> None:
        core.finish_log(FINISH_MS)
        while to_close:
            os.close(to_close.pop())

    return finish


def _own_handler() -> logging.Handler | None:
    """Return the handler of the access log, if it is ours and alone, and nobody looks at the records."""
    access = logging.getLogger("tricorn.access")
    if access.filters or access.propagate or len(access.handlers) != 1:
        return None
    handler = access.handlers[0]
    ours = type(handler) in (log_files.StreamHandler, log_files.FileHandler)
    plain = type(handler.formatter) is logs.AccessFormatter and not handler.filters
    return handler if ours and plain and handler.level <= logging.INFO else None


def adopt() -> None:
    """Do to our loggers what an application has done to those of uvicorn: filters, handlers, levels.

    Applications that were written for uvicorn keep health checks out of its access log in this way, for example. It is
    for loggers that :func:`tricorn.logs.share` has found.
    """
    for theirs, ours in logs.UVICORN.items():
        source, target = logging.root.manager.loggerDict.get(theirs), logging.getLogger(ours)
        if not isinstance(source, logging.Logger) or source is target:
            continue
        for one in source.filters:
            target.addFilter(one)
        for handler in list(source.handlers):
            target.addHandler(handler)
            if source.propagate and source.parent is target:
                source.removeHandler(handler)  # it would see what is passed on twice
        if source.level:
            target.setLevel(source.level)
        target.disabled = target.disabled or source.disabled


def _on_lost(lines: int, why: int) -> None:
    _logger.error("%d line(s) of the access log were lost: %s", lines, os.strerror(why))
