"""What the log says of requests that failed, were cancelled or refused, and of the code in Python that read them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from tricorn import _core, libraries, logs
from tricorn.config import Config

CANCELLED_LEFT: Final = 1
CANCELLED_TIMEOUT: Final = 2

_logger = logging.getLogger("tricorn.error")


def causes(config: Config) -> int:
    """Return for what every request is cancelled, as the core counts it."""
    left = CANCELLED_LEFT if config.cancel_on_disconnect else 0
    return left | (CANCELLED_TIMEOUT if config.request_timeout is not None else 0)


class Failures:
    """What the log says of applications that did not do as they should.

    Args:
        config: The options.
        library: The name of the async library.
        ending: Tells whether the library ends the tasks that serve.
    """

    def __init__(self, config: Config, library: str, ending: Callable[[], bool]) -> None:
        self._config = config
        self._library = library
        self._ending = ending

    def failed(
        self, error: BaseException | None, gone: bool, started: bool, cancelled: int, websocket: bool
    ) -> None:
        """Log what an application did wrong; a client that has gone is not the application's fault.

        Args:
            error: What it has raised, ``None`` where it returned too early.
            gone: Whether the client has gone.
            started: Whether the answer was begun, or the WebSocket accepted.
            cancelled: Why the request was cancelled, 0 where it was not.
            websocket: Whether it is a WebSocket.
        """
        if cancelled:
            self._cancelled(cancelled)
            error = _failure(error)
            if error is None:
                return
        if error is None:
            if not gone:
                what = "completing response" if started else "starting response"
                what = "completing handshake" if websocket and not started else what
                _logger.error("ASGI callable returned without %s.", what)
        elif not isinstance(error, Exception) and self._ending():
            _logger.warning("A request was cancelled: the server is stopping.")
        elif gone and comes_of_leaving(error):
            _logger.debug("Exception in ASGI application whose client had gone\n", exc_info=error)
        else:
            _logger.error("Exception in ASGI application\n", exc_info=error)
            self._explain(error)

    def _cancelled(self, cause: int) -> None:
        """Log that a request was cancelled, and has ended."""
        if cause == CANCELLED_TIMEOUT:
            _logger.warning("A request was cancelled: it took more than %g s.", self._config.request_timeout)
        else:
            _logger.debug("A request was cancelled: its client has gone.")

    def _explain(self, error: BaseException) -> None:
        """Say so where an application has used another async library than the one that runs it."""
        meant = libraries.mistaken(error, self._library)
        if meant is not None:
            _logger.error(
                "The application uses %s, and %s runs it: serve it with --async-library %s",
                meant,
                self._library,
                meant,
            )


def comes_of_leaving(error: BaseException) -> bool:
    """Tell whether an exception, or every one of a group behind it, came of sending to a client that was gone."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, _core.ClientDisconnected):
            return True
        if isinstance(seen, BaseExceptionGroup):
            return all(comes_of_leaving(inner) for inner in seen.exceptions)
        seen = seen.__cause__ or seen.__context__
    return False


def _failure(error: BaseException | None) -> BaseException | None:
    """Return what an application that was cancelled has failed of besides; trio raises both in one group."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(Exception)
    return error if isinstance(error, Exception) else None


def refused(client: logs.Client, status: int, reason: str, more: int) -> None:
    """Log a request that the core answered itself, a connection that it gave up, or that it cannot accept any.

    Args:
        client: Whose it was.
        status: What was answered; 0 where the connection was closed, negative where connections wait.
        reason: Why, in words.
        more: How many of a flood were left out since the message before.
    """
    rest = f" (and {more} more since the message before)" if more else ""
    if status < 0:
        _logger.error("Connections wait to be accepted: %s", reason)
    elif status:
        _logger.warning(
            "Refused a request from %s with %d: %s%s", logs.client_text(client), status, reason, rest
        )
    else:
        _logger.warning("Closed the connection of %s: %s%s", logs.client_text(client), reason, rest)


def parser_failed(error: BaseException) -> None:
    """Log what a parser written in Python did wrong."""
    _logger.error("Exception in the HTTP parser\n", exc_info=error)


def frames_failed(error: BaseException) -> None:
    """Log what a WebSocket's code in Python did wrong."""
    _logger.error("Exception in the WebSocket's code\n", exc_info=error)
