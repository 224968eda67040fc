"""``--reload``: a supervisor of one worker, which is started anew when files change.

The sockets stay open meanwhile: who connects then waits for the new worker. An application that cannot be imported
leaves its message in the log, and is tried again at the next change.
"""

from __future__ import annotations

import copy
import logging
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tricorn.config import Config
from tricorn.crew import Worker
from tricorn.supervisor import Supervisor, check, prepared
from tricorn.watching import Watcher

_logger = logging.getLogger("tricorn.error")

GRACE: Final = 1.0
"""Seconds that requests have to end at a reload, unless the options say so."""
FORCED: Final = 2.0
"""Seconds after that, until the worker is killed."""


def run(config: Config, *, ends_process: bool = False) -> int:
    """Serve, and start the application anew when files change, until a signal stops the server.

    Args:
        config: The options.
        ends_process: Not of interest here: the application runs in other processes.

    Returns:
        The exit code: 0 after a stop, 128 and the signal's number after a second signal.

    Raises:
        StartupError: An address is not to be had.
        UsageError: The application is no name, or this is not the main thread.
    """
    check(config)
    config = copy.copy(config)
    if config.workers > 1:
        _logger.warning("--reload serves with one worker; --workers is for what is not being changed")
    config.workers = 1
    config.preload = False
    config.timeout_worker_healthcheck = None  # it may stand in a debugger
    if config.timeout_graceful_shutdown is None:
        config.timeout_graceful_shutdown = GRACE
        config.shutdown_signal_streams = True
    return prepared(lambda: Reloader(config)).run()


class Reloader(Supervisor):
    """The worker of a server whose files change."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._signals[signal.SIGHUP] = self._on_stop  # its terminal was closed
        self._changes: deque[list[Path]] = deque()
        self._watcher = Watcher(config, self._note)

    @contextmanager
    def _handlers(self) -> Iterator[None]:
        """Watch files beside signals."""
        with super()._handlers():
            how = "watchfiles" if self._watcher.native else "polling; 'pip install watchfiles' is quicker"
            places = ", ".join(map(str, self._watcher.directories))
            _logger.info("Watching for changes in %s (%s)", places, how)
            self._watcher.start()
            try:
                yield
            finally:
                self._watcher.stop()

    def _note(self, paths: list[Path]) -> None:
        """Have the loop see a change; called in the watcher's thread."""
        self._changes.append(paths)
        self.wake()

    def _turn(self) -> None:
        super()._turn()
        changed: dict[Path, None] = {}
        while self._changes:
            changed |= dict.fromkeys(self._changes.popleft())
        if changed and not self._stops:
            self._reload(list(changed))

    def _reload(self, paths: list[Path]) -> None:
        """End the worker, and have another one started when it has ended."""
        names = ", ".join(_short(path) for path in paths[:3]) + (" and more" if len(paths) > 3 else "")
        _logger.warning("Changed: %s; reloading", names)
        slot = self._crew.slots[0]
        slot.crashes = 0
        if slot.worker is None:
            slot.start_at = time.monotonic()
        elif not slot.worker.ready:
            slot.worker.stopping = True
            slot.worker.process.kill(signal.SIGKILL)  # it imports the old files
        elif not slot.worker.stopping:
            slot.worker.relieve(self._patience())

    def _on_failure(self, one: Worker, code: int) -> None:
        """Wait for the next change."""
        _logger.error("%s; waiting for a change", one.reason or "The application did not start")

    def _patience(self) -> float | None:
        return (self._config.timeout_graceful_shutdown or 0) + FORCED


def _short(path: Path) -> str:
    """Return a path as seen from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
